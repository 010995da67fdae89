<?php
// The copy does not exit after the request: it accepts connections.
if (pcntl_fork() === 0) {
    file_put_contents($_GET['file'], (string) getmypid());
}
echo getmypid();
