<?php
// Includes more files than OPcache has places for.
foreach (glob(__DIR__ . '/catalogue/*.php') as $file) {
    include $file;
}
