<?php
// Sends the body back while it reads it.
header('Content-Type: application/octet-stream');
$in = fopen('php://input', 'r');
while (!feof($in)) {
	echo fread($in, 65536);
}
