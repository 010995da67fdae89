<?php
// What a script can do to another pool, or to its own: everything it manages is
// in the answer.
$pid = (int) $_GET['pid'];
$done = [];
foreach ($_GET['file'] as $name => $file) {
    $done["reads $name"] = @file_get_contents($file) !== false;
}
$done['lists'] = @scandir($_GET['dir']) !== false;
$done['writes'] = @file_put_contents($_GET['dir'] . '/left-' . getmypid(), 'x') !== false;
$done['includes'] = (@include $_GET['dir'] . '/included.php') === 'included';
foreach (['environ', 'mem', 'maps', 'stat'] as $name) {
    $file = @fopen("/proc/$pid/$name", 'r');
    // Of mem nothing is mapped at 0, so opening it is the whole question.
    $done["opens $name"] = $file !== false && ($name === 'mem' || @fread($file, 1) !== false);
}
$done['sees descriptors'] = @scandir("/proc/$pid/fd") !== false;
$done['enters its root'] = @scandir("/proc/$pid/root/") !== false;
$done['signals'] = posix_kill($pid, 0);
$done['environment'] = (string) @file_get_contents("/proc/$pid/environ");

// Every socket of a pool that the system names, and those without a file.
$sockets = [];
foreach (file('/proc/net/unix', FILE_IGNORE_NEW_LINES) as $line) {
    $path = preg_split('/\s+/', $line, 8)[7] ?? '';
    if (str_contains($path, 'php-pool-')) {
        $sockets[$path] = $path;
    }
}
$done['sockets'] = count($sockets);
$sockets[] = "/proc/$pid/fd/0";
$done['connects'] = [];
foreach ($sockets as $path) {
    if ($path[0] === '@') {
        $path = "\0" . substr($path, 1);
    }
    if (@stream_socket_client("unix://$path", $code, $message, 1)) {
        $done['connects'][] = $path;
    }
}
header('Content-Type: application/json');
echo json_encode($done);
