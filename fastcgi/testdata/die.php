<?php
// Kills its own process: before the header, or in the body.
if (isset($_GET['body'])) {
	header('Content-Length: 300000');
	echo str_repeat('x', 100000);
}
posix_kill(getmypid(), SIGKILL);
