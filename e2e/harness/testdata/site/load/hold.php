<?php
// Runs until a file is removed. It logs a line "id pid" to file.ran when it starts,
// "id pid connection_status" to file.ended, and "id pid" to file.aborted when it
// notices that its client disconnected.
// write=1: writes output all the time. abort=ignore: ignores the disconnect.
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
