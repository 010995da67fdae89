<?php
// Runs until a file is gone, and writes down that it did: a line "id pid" in
// file.ran as it begins, a line "id pid connection_status" in file.ended, and
// one in file.aborted when it sees that its client has left.
// write=1: writes all the time. abort=ignore: goes on when the client leaves.
while (ob_get_level() > 0) { // php.ini's output_buffering
    ob_end_flush();
}
set_time_limit(0);
$file = dirname(__DIR__) . '/' . basename($_GET['file']);
$line = ($_GET['id'] ?? 0) . ' ' . getmypid();
ignore_user_abort(($_GET['abort'] ?? '') === 'ignore');
register_shutdown_function(function () use ($file, $line) {
    file_put_contents("$file.ended", $line . ' ' . connection_status() . "\n", FILE_APPEND);
});
file_put_contents("$file.ran", "$line\n", FILE_APPEND);
while (file_exists($file)) {
    clearstatcache();
    if (isset($_GET['write'])) {
        echo str_repeat(' ', 100);
        flush();
        if (connection_aborted()) {
            file_put_contents("$file.aborted", "$line\n");
        }
    }
    usleep(20000);
}
echo "$line\n";
