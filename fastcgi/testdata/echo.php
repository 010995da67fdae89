<?php
// Sends the request body back while it is reading it.
header('Content-Type: application/octet-stream');
$in = fopen('php://input', 'r');
while (!feof($in)) {
	echo fread($in, 65536);
}
