<?php
// Writes more than the buffer of a pipe, and a line longer than maxLine.
$stderr = fopen('php://stderr', 'w');
for ($i = 0; $i < 10000; $i++) {
    fwrite($stderr, "line $i of many\n");
}
fwrite($stderr, str_repeat('x', 200000) . "\n");
fwrite($stderr, "the end\n");
echo 'done';
