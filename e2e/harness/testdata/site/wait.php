<?php
// Says that it runs, and goes on until the file is gone, whoever waits for it.
ignore_user_abort(true);
set_time_limit(0);
$file = __DIR__ . '/' . basename($_GET['file']);
touch("$file.runs");
while (file_exists($file)) {
    clearstatcache();
    usleep(5000);
}
echo "waited\n";
