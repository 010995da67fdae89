<?php
// Sends any header: each h[] is a header line; the query also sets the body.
foreach ($_GET['h'] ?? [] as $line) {
	header($line, false);
}
if (isset($_GET['long'])) {
	header('X-Long: ' . str_repeat('x', (int) $_GET['long']));
}
if (isset($_GET['bare'])) {
	ini_set('default_mimetype', '');
	header_remove();
}
if (isset($_GET['code'])) {
	http_response_code((int) $_GET['code']);
}
echo $_GET['body'] ?? '';
