<?php
// Shows who it is, then sleeps for ?s= milliseconds.
if (isset($_GET['file'])) {
    file_put_contents($_GET['file'], (string) getmypid());
}
usleep(1000 * (int) ($_GET['ms'] ?? 300));
echo getmypid();
