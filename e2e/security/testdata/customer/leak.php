<?php
// Shows all places where a script could find the environment of its process.
ob_start();
phpinfo();
$info = ob_get_clean();
header('Content-Type: application/json');
echo json_encode([
    'getenv' => print_r(getenv(), true) . getenv('CADDY_SECRET'),
    '$_SERVER' => print_r($_SERVER, true),
    '$_ENV' => print_r($_ENV, true),
    'phpinfo' => $info,
    '/proc/self/environ' => file_get_contents('/proc/self/environ'),
    'a program' => (string) shell_exec('env'),
], JSON_INVALID_UTF8_SUBSTITUTE);
