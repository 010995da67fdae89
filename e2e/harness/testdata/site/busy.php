<?php
// Uses the processor and never makes a system call of its own will.
set_time_limit(0);
touch(__DIR__ . '/' . basename($_GET['file']) . '.runs');
for (;;) {
}
