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

    /** The next request asks for new workers, because this one has no OPcache. */
    private static bool $withoutOPcache = false;

    /** The max_execution_time of php.ini, in seconds. */
    private static int $limitOfIni = 0;

    /** That of the start, in seconds: php_pool limits it. Scripts set no such value. */
    const START_LIMIT = 100000007;

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
        self::$limitOfIni = (int) ini_get('max_execution_time');
        set_time_limit(self::START_LIMIT);
        PhpPoolOutput::boot();
        PhpPoolConnection::open($address, $nonce);
        PhpPoolRequest::boot();
        PhpPoolBody::boot();
        register_shutdown_function([self::class, 'shutdown']);
    }

    /** Serves a request with $callback: frankenphp_handle_request(). */
    public static function handle(callable $callback): bool
    {
        if (self::$stopping || PhpPoolConnection::copied()) {
            return false;
        }
        if (!self::$ready) {
            self::$ready = true;
            if ((int) ini_get('max_execution_time') === self::START_LIMIT) { // not set by the script
                set_time_limit(self::$limitOfIni);
            }
            PhpPoolSession::boot();
            self::$withoutOPcache = self::restartPending();
        }
        do {
            PhpPoolConnection::sendReady();
            if (!PhpPoolRequest::next()) {
                self::$stopping = true;
                return false;
            }
            $query = $_SERVER['PHP_POOL_QUERY'] ?? null;
            self::run($query === null ? $callback : static function () use ($query): void {
                include $query;
            });
        } while ($query !== null);
        return true;
    }

    /** Runs a request. One with PHP_POOL_QUERY is of php_pool itself, and not of a client. */
    private static function run(callable $callback): void
    {
        self::$running = true;
        PhpPoolOutput::open();
        if (self::$withoutOPcache) {
            self::$withoutOPcache = false;
            self::resetOPcache();
        }
        error_clear_last();
        self::startTimeLimit();
        try {
            PhpPoolSession::begin();
            $callback();
        } catch (Throwable $e) {
            PhpPoolError::uncaught($e);
        }
        PhpPoolOutput::endBuffers();
        try {
            PhpPoolSession::end();
        } catch (Throwable $e) {
            PhpPoolError::uncaught($e);
        }
        self::end();
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
     * Runs after the shutdown functions of the script. PhpPoolOutput::write() completes the
     * response after that, except when the memory limit was exceeded: then PHP has ended
     * all output buffers before (php_error_cb and php_request_shutdown in main/main.c).
     */
    public static function lastShutdown(): void
    {
        if (!self::$running) {
            return;
        }
        $error = error_get_last();
        $noMemory = $error !== null && $error['type'] === E_ERROR && strncmp($error['message'], 'Allowed memory size', 19) === 0;
        if ($noMemory) {
            ini_set('memory_limit', '-1');
        }
        PhpPoolSession::close();
        if ($noMemory) {
            PhpPoolError::display('Fatal error', $error['message'], $error['file'], $error['line']);
            self::end();
        }
    }

    /**
     * opcache_reset(): asks php_pool for new workers at the end of the request. PHP could
     * reset the cache only when no script runs, and would start no script with the cache
     * until then.
     */
    public static function resetOPcache(): bool
    {
        if (self::$running) {
            // A signal: see package fastcgi, signal.go.
            PhpPoolConnection::sendStream(PhpPoolConnection::STDERR, "@MARK@ opcache_reset;\n");
        }
        return true;
    }

    /**
     * Reports whether PHP waits to restart OPcache, because it is full. Scripts that start
     * meanwhile have none, and the requests of the other workers keep PHP waiting.
     */
    private static function restartPending(): bool
    {
        // With restrict_api the function fails, and PHP calls the error handler of the script.
        if (!function_exists('opcache_get_status') || (string) ini_get('opcache.restrict_api') !== '') {
            return false;
        }
        return opcache_get_status(false)['restart_pending'] ?? false;
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
