<?php
// Includes more files than OPcache has keys for.
foreach (glob(__DIR__ . '/catalogue/*.php') as $file) {
    include $file;
}
