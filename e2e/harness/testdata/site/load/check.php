<?php
// One request of a load of which every answer is checked; the query is its
// number. Each process keeps a file in BOOK with the numbers that it has run.
// The answer tells what it was, which settings it ran with, and its body.
$id = (int) $_SERVER['QUERY_STRING'];
file_put_contents($_SERVER['BOOK'] . '/' . getmypid(), "$id\n", FILE_APPEND);
usleep(random_int(2000, 30000)); // longer than it takes to compute, or the load would be all there is
$body = file_get_contents('php://input');
header('Content-Type: application/octet-stream');
printf("%d %s %d %d %d\n", $id, $_SERVER['REQUEST_METHOD'], strlen($body), (int) ini_get('user_agent'), getmypid());
echo $body;
