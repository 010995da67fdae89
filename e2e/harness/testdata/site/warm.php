<?php
// Logs its process ID and the requested URL to the file warmed. If there is a file
// ill, it fails as that says.
$line = getmypid() . ' ' . $_SERVER['HTTP_HOST'] . $_SERVER['REQUEST_URI'] . ' ' . basename($_SERVER['DOCUMENT_ROOT']);
file_put_contents(__DIR__ . '/warmed', "$line\n", FILE_APPEND);
switch (@file_get_contents(__DIR__ . '/ill')) {
    case 'status':
        http_response_code(503);
        echo 'not well';
        break;
    case 'death':
        posix_kill(getmypid(), SIGKILL);
    case 'message':
        error_log('no database');
        http_response_code(500);
        break;
    case 'half':
        echo str_repeat('warm', 50000);
        flush();
        posix_kill(getmypid(), SIGKILL);
}
echo 'warm';
