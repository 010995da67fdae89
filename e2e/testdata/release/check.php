<?php
// load/check.php for a release: the mark is the number of the release, which is read
// in every way to access a file of it, before and after a pause.
$seen = [require __DIR__ . '/number.php'];
$id = (int) $_SERVER['QUERY_STRING'];
file_put_contents($_SERVER['BOOK'] . '/' . getmypid(), "$id\n", FILE_APPEND);
usleep($id % 11 === 0 ? 300000 : random_int(2000, 30000));
$body = file_get_contents('php://input');
$seen[] = include 'late.php';
$seen[] = include __DIR__ . '/later.php';
$seen[] = (int) file_get_contents('number.txt');
$seen[] = (int) file_get_contents($_SERVER['DOCUMENT_ROOT'] . '/number.txt');
header('Content-Type: application/octet-stream');
printf("%d %s %d %s %d\n", $id, $_SERVER['REQUEST_METHOD'], strlen($body), implode('+', array_unique($seen)), getmypid());
echo $body;
