<?php
// Shows how far the upload "up" of the session is, or removes the session.
if (isset($_GET['remove'])) {
	session_start();
	session_destroy();
	exit;
}
session_start(['read_and_close' => true]);
echo json_encode($_SESSION[ini_get('session.upload_progress.prefix') . 'up'] ?? null);
