<?php
// Outputs the attributes of the process.
$status = [];
foreach (file('/proc/self/status') as $line) {
    [$name, $value] = explode(':', $line, 2);
    $status[$name] = trim($value);
}
$limits = [];
foreach (file('/proc/self/limits') as $line) {
    if (preg_match('/^Max (.+?)\s{2,}(\S+)\s+(\S+)/', $line, $m)) {
        $limits[$m[1]] = "$m[2] $m[3]";
    }
}
$fds = [];
foreach (scandir('/proc/self/fd') as $fd) {
    if (is_numeric($fd) && ($target = @readlink("/proc/self/fd/$fd")) !== false && $target !== '/proc/' . getmypid() . '/fd') {
        $fds[] = "$fd " . preg_replace('/\d+/', '', $target);
    }
}
// Only the environment of the process: getenv() would add that of the request.
$env = [];
foreach (explode("\0", rtrim(file_get_contents('/proc/self/environ'), "\0")) as $pair) {
    [$name, $value] = explode('=', $pair, 2);
    $env[$name] = $value;
}
echo json_encode([
    'uid' => posix_geteuid(),
    'gid' => posix_getegid(),
    'umask' => umask(),
    'nice' => niceness(),
    'status' => $status,
    'limits' => $limits,
    'fds' => $fds,
    'env' => $env,
    'getenv' => getenv('PHP_POOL_TEST'),
    'ini' => ini_get('user_agent'),
]);

function niceness(): int
{
    $stat = file_get_contents('/proc/self/stat');
    return (int) explode(' ', substr($stat, strrpos($stat, ')') + 2))[16];
}
