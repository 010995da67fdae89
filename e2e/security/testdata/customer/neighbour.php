<?php
// Tries to access another pool, or its own, and shows what succeeded.
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
    // Nothing is mapped at address 0 of mem, so only opening it is tried.
    $done["opens $name"] = $file !== false && ($name === 'mem' || @fread($file, 1) !== false);
}
$done['sees descriptors'] = @scandir("/proc/$pid/fd") !== false;
$done['enters its root'] = @scandir("/proc/$pid/root/") !== false;
$done['signals'] = posix_kill($pid, 0);
$done['environment'] = (string) @file_get_contents("/proc/$pid/environ");

// Every socket that /proc/net/unix lists, abstract ones included.
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
