<?php
// Computes for ever, and lives on without its client.
ignore_user_abort(true);
set_time_limit(0);
file_put_contents($_GET['file'], (string) getmypid());
for (;;) {
}
