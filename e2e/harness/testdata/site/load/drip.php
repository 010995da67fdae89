<?php
// Is never silent for long, and takes two seconds in all.
while (ob_get_level() > 0) { // php.ini's output_buffering
    ob_end_flush();
}
for ($i = 0; $i < 20; $i++) {
    echo "drip\n";
    flush();
    usleep(100000);
}
