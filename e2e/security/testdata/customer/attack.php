<?php
// Tries to reach Caddy, whose user it may have, and shows what succeeded.
error_reporting(0);
$pid = (int) $_GET['pid'];
$port = (int) $_GET['port'];
$done = [];
foreach ($_GET['file'] as $name => $file) {
    $done["reads $name"] = file_get_contents($file) !== false;
    $done["changes $name"] = file_put_contents($file, 'x', FILE_APPEND) !== false;
    $done["links $name"] = link($file, __DIR__ . "/linked-$name");
    $done["has a program read $name"] = shell_exec('cat ' . escapeshellarg($file)) != '';
}
$done['creates'] = file_put_contents($_GET['dir'] . '/created', 'x') !== false;
$done['moves'] = rename($_GET['dir'] . '/junk', __DIR__ . '/moved');
$done['deletes'] = unlink($_GET['dir'] . '/other');
foreach (['environ', 'mem', 'maps'] as $name) {
    $file = fopen("/proc/$pid/$name", 'r');
    $done["opens $name"] = $file !== false && ($name === 'mem' || fread($file, 1) !== false && !feof($file));
}
$done['sees descriptors'] = readlink("/proc/$pid/fd/0") !== false; // their numbers are visible
$done['enters its root'] = (scandir("/proc/$pid/root/") ?: []) !== [];
exec("prlimit --pid $pid --cpu=100000:100000 2>&1", $output, $code);
$done['limits'] = $code === 0;
$done['signals'] = posix_kill($pid, 0);
$done['abstract socket'] = stream_socket_client("unix://\0" . $_GET['abstract'], $code, $message, 5) !== false;
$done['connects'] = stream_socket_client("tcp://127.0.0.1:$port", $code, $message, 5) !== false;
$multipath = socket_create(AF_INET, SOCK_STREAM, 262);
$done['connects by MPTCP'] = $multipath !== false && socket_connect($multipath, '127.0.0.1', $port);
$fast = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
$done['connects by Fast Open'] = socket_sendto($fast, 'x', 1, 0x20000000, '127.0.0.1', $port) !== false;
$done['connects to another port'] = stream_socket_client('tcp://127.0.0.1:' . $_GET['other'], $code, $message, 5) !== false;
header('Content-Type: application/json');
echo json_encode($done);
