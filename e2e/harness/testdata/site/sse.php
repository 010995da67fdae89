<?php
// Sends its second event once a file exists, which the client creates after it has
// received the first event.
header('Content-Type: text/event-stream');
echo "data: first\n\n";
while (ob_get_level()) {
    ob_end_flush();
}
flush();
for ($i = 0; $i < 2000; $i++) {
    clearstatcache();
    if (file_exists(__DIR__ . '/' . basename($_GET['file']))) {
        exit("data: second\n\n");
    }
    usleep(10000);
}
echo "data: the client never had the first\n\n";
