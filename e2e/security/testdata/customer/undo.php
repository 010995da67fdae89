<?php
// Tries to change settings and to get around them, and shows what succeeded.
$answer = ['uploaded' => array_map('dirname', array_column($_FILES, 'tmp_name'))];
foreach ($_GET['settings'] ?? [] as $name => $value) {
    $before = ini_get($name);
    $set = @ini_set($name, $value);
    ini_restore($name);
    $answer['settings'][$name] = [$before, $set, ini_get($name)];
}
foreach ($_GET['functions'] ?? [] as $name) {
    $answer['functions'][$name] = function_exists($name);
}
foreach ($_GET['files'] ?? [] as $file) {
    $answer['files'][$file] = @file_get_contents($file) !== false;
}
if (isset($_GET['include'])) {
    $answer['include'] = (@include $_GET['include']) === 'included';
}
if (isset($_GET['session'])) {
    $answer['temp'] = dirname(tempnam('', 'x'));
    $answer['TMPDIR'] = (string) getenv('TMPDIR');
    session_start();
    $_SESSION['seen'] = ($_SESSION['seen'] ?? 0) + 1;
    $answer['session'] = session_save_path() . '/sess_' . session_id();
    $answer['seen'] = $_SESSION['seen'];
    session_write_close();
}
if (isset($_GET['write'])) {
    file_put_contents($_GET['write'], 'x');
}
header('Content-Type: application/json');
echo json_encode($answer);
