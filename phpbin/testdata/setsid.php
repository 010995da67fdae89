<?php
// Moves this process, or with "copy" a forked copy that goes on serving, to another
// session.
$pid = isset($_GET['copy']) ? pcntl_fork() : 0;
if ($pid === 0) {
    posix_setsid();
    file_put_contents($_GET['file'], (string) getmypid());
    while (isset($_GET['spin']));
}
echo getmypid();
