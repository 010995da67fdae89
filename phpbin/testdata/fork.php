<?php
// The copy does not end with the request: it goes on to accept connections.
if (pcntl_fork() === 0) {
    file_put_contents($_GET['file'], (string) getmypid());
}
echo getmypid();
