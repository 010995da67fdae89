<?php
// One request of the chaos test, id?kind. Each process keeps a file: a line "id
// begin" for each request that it has begun, "id end" when the script is done.
// A process that was killed leaves the request it was killed in as its last.
$id = basename($_SERVER['PATH_INFO']);
$book = dirname(__DIR__) . '/chaos/' . getmypid();
file_put_contents($book, "$id begin\n", FILE_APPEND);
header('X-Pid: ' . getmypid());
switch ($_SERVER['QUERY_STRING']) {
    case 'slow':
        usleep(10000);
        break;
    case 'stream':
        while (ob_get_level() > 0) {
            ob_end_flush();
        }
        for ($i = 0; $i < 5; $i++) {
            echo "$i\n";
            flush();
            usleep(3000);
        }
        break;
    case 'large':
        echo str_repeat('0123456789abcde ', 20000);
        break;
    case 'upload':
        echo strlen(file_get_contents('php://input')), "\n";
}
echo "$id done\n";
file_put_contents($book, "$id end\n", FILE_APPEND);
