<?php
// Sends n MiB of binary data.
header('Content-Type: application/octet-stream');
$block = '';
for ($i = 0; $i < 4096; $i++) {
    $block .= md5($i, true);
}
for ($i = 0; $i < $_GET['n'] * 16; $i++) {
    echo $block;
}
