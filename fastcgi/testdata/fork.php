<?php
// The child returns to php-cgi's own loop and sends a second response.
if (!function_exists('pcntl_fork')) {
	exit('no pcntl');
}
echo pcntl_fork() === 0 ? 'copy' : 'original';
