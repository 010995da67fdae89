<?php
/*
 * The life of a worker script, and of each of its requests.
 */

final class PhpPoolWorker
{
    /** The script has been ready for a request. */
    public static bool $ready = false;

    private static bool $stopping = false;

    /** A request runs, perhaps without its client (see PhpPoolOutput::$open). */
    private static bool $running = false;

    /** When the time limit of a request began, and what it was, in seconds. */
    private static float $limitBegan = 0;
    private static int $limit = 0;

    /** Connects to php_pool. The script itself runs when this returns. */
    public static function boot(): void
    {
        $address = $_SERVER['PHP_POOL_ADDRESS'];
        $nonce = $_SERVER['PHP_POOL_NONCE'];
        $log = $_SERVER['PHP_POOL_LOG'] ?? '';
        unset($_SERVER['PHP_POOL_ADDRESS'], $_SERVER['PHP_POOL_NONCE'], $_SERVER['PHP_POOL_LOG']);
        if ($log !== '' && (string) ini_get('error_log') === '') {
            // php-cgi would keep what it logs in a buffer until the script ends.
            ini_set('error_log', $log);
        }
        PhpPoolOutput::boot();
        PhpPoolConnection::open($address, $nonce);
        PhpPoolRequest::boot();
        register_shutdown_function([self::class, 'shutdown']);
    }

    /** Serves a request with $callback: frankenphp_handle_request(). */
    public static function handle(callable $callback): bool
    {
        if (self::$stopping || PhpPoolConnection::copied()) {
            return false;
        }
        self::$ready = true;
        PhpPoolConnection::sendReady();
        if (!PhpPoolRequest::next()) {
            self::$stopping = true;
            return false;
        }
        self::$running = true;
        PhpPoolOutput::open();
        self::startTimeLimit();
        try {
            $callback();
        } catch (Throwable $e) {
            PhpPoolError::uncaught($e);
        }
        PhpPoolOutput::endBuffers();
        self::end();
        return true;
    }

    /**
     * Starts the time limit of the request, as max_execution_time would. Two system
     * calls are saved if that has been done within the last 3 % of the limit.
     */
    private static function startTimeLimit(): void
    {
        $limit = (int) ini_get('max_execution_time');
        $now = $_SERVER['REQUEST_TIME_FLOAT'];
        if ($limit > 0 && ($limit !== self::$limit || abs($now - self::$limitBegan) > $limit / 32)) {
            set_time_limit($limit);
            self::$limit = $limit;
            self::$limitBegan = $now;
        }
    }

    /** Completes the request. It is also called when the script ends within one. */
    public static function end(): void
    {
        if (PhpPoolConnection::copied()) {
            self::endCopy();
        }
        if (!self::$running) {
            return;
        }
        self::$running = false;
        PhpPoolOutput::finish();
        PhpPoolBody::free();
    }

    /** The first shutdown function. It adds the last one. */
    public static function shutdown(): void
    {
        register_shutdown_function([self::class, 'lastShutdown']);
    }

    /**
     * Runs after the shutdown functions of the script. When the memory limit was exceeded,
     * PHP would discard the output without calling PhpPoolOutput::write() (php_request_shutdown
     * in main/main.c), unless there is memory again.
     */
    public static function lastShutdown(): void
    {
        $error = error_get_last();
        if (self::$running && $error !== null && $error['type'] === E_ERROR && strncmp($error['message'], 'Allowed memory size', 19) === 0) {
            ini_set('memory_limit', '-1');
            PhpPoolOutput::discard();
        }
    }

    /**
     * Ends a copy that the script has made of its process (pcntl_fork). It must not get
     * back to php-cgi, which would send an END_REQUEST for the original.
     */
    private static function endCopy(): void
    {
        if (function_exists('posix_kill')) {
            posix_kill(getmypid(), 9);
        }
        pcntl_exec('/bin/true');
    }
}
