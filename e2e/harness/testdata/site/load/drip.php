<?php
// Sends a line every 0.1 s, for two seconds.
while (ob_get_level() > 0) { // php.ini's output_buffering
    ob_end_flush();
}
for ($i = 0; $i < 20; $i++) {
    echo "drip\n";
    flush();
    usleep(100000);
}
