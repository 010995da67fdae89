<?php
// Tells what arrived: how many parameters of ours, and a digest of them.
$ours = array_filter($_SERVER, fn($name) => str_starts_with($name, 'X_'), ARRAY_FILTER_USE_KEY);
ksort($ours, SORT_STRING);
echo count($ours), ' ', md5(http_build_query($ours));
