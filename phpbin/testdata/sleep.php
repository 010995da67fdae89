<?php
// Sleeps for ?ms= milliseconds, then outputs its pid.
if (isset($_GET['file'])) {
    file_put_contents($_GET['file'], (string) getmypid());
}
usleep(1000 * (int) ($_GET['ms'] ?? 300));
echo getmypid();
