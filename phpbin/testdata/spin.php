<?php
// Computes forever, and ignores that its client disconnects.
ignore_user_abort(true);
set_time_limit(0);
file_put_contents($_GET['file'], (string) getmypid());
for (;;) {
}
