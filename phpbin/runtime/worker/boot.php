<?php
/*
 * What runs before the worker script. A php-cgi that runs another request than that of
 * the worker script has nothing to do here.
 */

if (isset($_SERVER['PHP_POOL_ADDRESS'])) {
    PhpPoolWorker::boot();
}
