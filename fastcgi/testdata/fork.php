<?php
// The copy runs on into php-cgi's own loop, and answers too: unasked.
if (!function_exists('pcntl_fork')) {
	exit('no pcntl');
}
echo pcntl_fork() === 0 ? 'copy' : 'original';
