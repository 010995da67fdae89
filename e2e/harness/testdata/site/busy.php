<?php
// Computes forever, without system calls.
set_time_limit(0);
touch(__DIR__ . '/' . basename($_GET['file']) . '.runs');
for (;;) {
}
