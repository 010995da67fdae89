<?php
// Computes for about 2 ms: the number of rounds is what this machine needs.
for ($i = 0, $x = ''; $i < ROUNDS; $i++) {
    $x = md5($x);
}
echo "worked\n";
