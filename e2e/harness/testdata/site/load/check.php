<?php
// A request of harness.Traffic; the query is its id. Each process logs the ids that it
// has executed to a file in BOOK. The response has the id, the method, the length of
// the body, the mark, the process ID, and the body.
$id = (int) $_SERVER['QUERY_STRING'];
file_put_contents($_SERVER['BOOK'] . '/' . getmypid(), "$id\n", FILE_APPEND);
usleep(random_int(2000, 30000)); // so that requests overlap and the processor is not saturated
$body = file_get_contents('php://input');
header('Content-Type: application/octet-stream');
printf("%d %s %d %d %d\n", $id, $_SERVER['REQUEST_METHOD'], strlen($body), (int) ini_get('user_agent'), getmypid());
echo $body;
