<?php
// Runs too long, ?how= says how.
while (ob_get_level() > 0) { // php.ini's output_buffering
    ob_end_flush();
}
set_time_limit(0);
$file = dirname(__DIR__) . '/' . basename($_GET['file']);
register_shutdown_function(function () use ($file) {
    file_put_contents("$file.shutdown", getmypid());
    while ($_GET['how'] === 'shutdown');
});
file_put_contents("$file.ran", getmypid());
if (isset($_GET['begin'])) {
    echo "a beginning\n";
    flush();
}
switch ($_GET['how']) {
    case 'sleep':
        sleep(60);
    case 'loop':
    case 'shutdown':
        while (true);
    case 'read': // blocks in C code, which continues after a signal
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        fread($pair[0], 1);
}
