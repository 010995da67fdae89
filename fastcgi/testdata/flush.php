<?php
// Writes two parts, and waits between them until the file exists.
echo 'first ';
flush();
while (!file_exists($_GET['file'])) {
	clearstatcache();
	usleep(1000);
}
echo 'second';
