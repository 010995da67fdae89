<?php
// Responds before it reads the body.
http_response_code((int) ($_GET['status'] ?? 401));
echo "denied\n";
while (ob_get_level()) {
	ob_end_flush();
}
flush();
touch(dirname(__DIR__) . '/early.started');
echo strlen(file_get_contents('php://input')), "\n";
