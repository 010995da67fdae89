<?php
// Shows the method, length and hash of the request body.
header('Content-Type: application/json');
$hash = hash_init('sha256');
$length = 0;
for ($in = fopen('php://input', 'rb'); ($part = fread($in, 65536)) !== false && $part !== '';) {
    hash_update($hash, $part);
    $length += strlen($part);
}
echo json_encode([
    'method' => $_SERVER['REQUEST_METHOD'],
    'length' => $length,
    'declared' => $_SERVER['CONTENT_LENGTH'] ?? '',
    'sha256' => hash_final($hash),
]);
