<?php
// A request of the chaos test, id?kind. Each process logs a line "id begin" when it
// starts a request and "id end" when the script is done. The last line of a killed
// process is the request that it was killed in.
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
