<?php
// Tells php_pool of the OPcache that this worker uses, or resets it.
//
// This file lies in the directory for temporary files while php_pool asks, and
// runs for nobody else: a request from the web has no FastCGI parameter
// PHP_POOL_CALL (its headers are HTTP_*), and does not know the directory's
// name. It has to run in every PHP from 7.0 on, whatever functions are disabled.

$call = '';
if (isset($_SERVER['PHP_POOL_CALL'])) {
    $call = $_SERVER['PHP_POOL_CALL'];
} elseif (function_exists('getenv')) {
    $call = getenv('PHP_POOL_CALL'); // variables_order has no S
}
$token = basename(__DIR__);
if ($call !== "$token status" && $call !== "$token reset") {
    http_response_code(404);
    return;
}

$answer = ['reason' => ''];
if (!extension_loaded('Zend OPcache')) {
    $answer['reason'] = 'OPcache is not loaded';
} elseif (!function_exists('opcache_get_status') || !function_exists('opcache_reset')) {
    $answer['reason'] = 'disable_functions forbids opcache_get_status or opcache_reset';
} else {
    if ($call === "$token reset") {
        $answer['reset'] = @opcache_reset();
    }
    $status = @opcache_get_status(false);
    if ($status === false) {
        $error = error_get_last();
        // This request has OPcache switched off for itself (.user.ini).
        $all = ini_get_all('zend opcache');
        if ($error) {
            $answer['reason'] = $error['message'];
        } elseif (!$all['opcache.enable']['global_value']) {
            $answer['reason'] = 'opcache.enable is off';
        } else {
            $answer['reason'] = 'OPcache has not started: php-cgi said why when it did';
        }
    } elseif (empty($status['memory_usage'])) {
        $answer['reason'] = 'opcache.file_cache_only is on: there is no cache in memory';
    } else {
        // With preloading there are lists of all that was.
        unset($status['preload_statistics'], $status['scripts']);
        $answer['status'] = $status;
        if (function_exists('opcache_get_configuration')) {
            $configuration = opcache_get_configuration();
            $answer['directives'] = (object) array_intersect_key($configuration['directives'], [
                'opcache.memory_consumption' => 1, 'opcache.interned_strings_buffer' => 1,
                'opcache.max_accelerated_files' => 1, 'opcache.validate_timestamps' => 1,
                'opcache.revalidate_freq' => 1, 'opcache.jit' => 1, 'opcache.jit_buffer_size' => 1,
            ]);
        }
    }
}
$limit = trim(ini_get('realpath_cache_size'));
$power = strpos(' kmg', strtolower(substr($limit, -1)));
$answer['realpath'] = ['used' => realpath_cache_size(), 'max' => (int) $limit << 10 * (int) $power];

// What a script before this one has written stands before the token.
echo "\n$token\n", json_encode($answer);
