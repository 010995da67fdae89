<?php
// Creates file.runs, and runs until the file is removed, even without a client.
ignore_user_abort(true);
set_time_limit(0);
$file = __DIR__ . '/' . basename($_GET['file']);
touch("$file.runs");
while (file_exists($file)) {
    clearstatcache();
    usleep(5000);
}
echo "waited\n";
