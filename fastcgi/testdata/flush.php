<?php
// Writes in two parts, and waits in between until the file is there.
echo 'first ';
flush();
while (!file_exists($_GET['file'])) {
	clearstatcache();
	usleep(1000);
}
echo 'second';
