<?php
// Reports the status of the OPcache that this worker uses to php_pool, or resets it.
//
// This file exists in the directory for temporary files during a query of php_pool.
// No other request can run it: a request from the web has no FastCGI parameter
// PHP_POOL_CALL (its headers are HTTP_*) and does not know the name of the
// directory. It must run in every PHP from 7.0, whatever functions are disabled.

$call = '';
if (isset($_SERVER['PHP_POOL_CALL'])) {
    $call = $_SERVER['PHP_POOL_CALL'];
} elseif (function_exists('getenv')) {
    $call = getenv('PHP_POOL_CALL'); // variables_order does not include S
}
$token = basename(__DIR__);
if ($call !== "$token status" && $call !== "$token reset") {
    http_response_code(404);
    return;
}

$response = ['reason' => ''];
if (!extension_loaded('Zend OPcache')) {
    $response['reason'] = 'OPcache is not loaded';
} elseif (!function_exists('opcache_get_status') || !function_exists('opcache_reset')) {
    $response['reason'] = 'disable_functions forbids opcache_get_status or opcache_reset';
} else {
    if ($call === "$token reset") {
        $response['reset'] = @opcache_reset();
    }
    $status = @opcache_get_status(false);
    if ($status === false) {
        $error = error_get_last();
        // .user.ini disables OPcache for this request only: see the global value.
        $all = ini_get_all('zend opcache');
        if ($error) {
            $response['reason'] = $error['message'];
        } elseif (!$all['opcache.enable']['global_value']) {
            $response['reason'] = 'opcache.enable is off';
        } else {
            $response['reason'] = 'OPcache did not start: see the output of php-cgi at its start';
        }
    } elseif (empty($status['memory_usage'])) {
        $response['reason'] = 'opcache.file_cache_only is on: there is no cache in memory';
    } else {
        // With preloading these are lists of all preloaded scripts.
        unset($status['preload_statistics'], $status['scripts']);
        $response['status'] = $status;
        if (function_exists('opcache_get_configuration')) {
            $configuration = opcache_get_configuration();
            $response['directives'] = (object) array_intersect_key($configuration['directives'], [
                'opcache.memory_consumption' => 1, 'opcache.interned_strings_buffer' => 1,
                'opcache.max_accelerated_files' => 1, 'opcache.validate_timestamps' => 1,
                'opcache.revalidate_freq' => 1, 'opcache.jit' => 1, 'opcache.jit_buffer_size' => 1,
            ]);
        }
    }
}
$limit = trim(ini_get('realpath_cache_size'));
$power = strpos(' kmg', strtolower(substr($limit, -1)));
$response['realpath'] = ['used' => realpath_cache_size(), 'max' => (int) $limit << 10 * (int) $power];

// The output of a script that ran before this one is before the token.
echo "\n$token\n", json_encode($response);
