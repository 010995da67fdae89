<?php
/*
 * The response of a worker script. Nothing that a script writes gets to php-cgi, which
 * would send the header once and for all. So PHP's own header(), setcookie(),
 * http_response_code() and headers_list() work for each request.
 */

final class PhpPoolOutput
{
    /** A response can be written. */
    public static bool $open = false;

    /** Its header has been sent, or is in $content, and cannot be changed. */
    public static bool $headSent = false;

    /** Each write is sent at once: ob_implicit_flush() is on. */
    public static bool $implicitFlush = false;

    /** The callback of header_register_callback(). */
    public static $headCallback = null;

    /** What has been written and not sent. */
    private static string $content = '';

    private static string $poweredBy = '';
    private static string $defaultType = '';

    /** The response has no body: the method is HEAD. */
    private static bool $bodyless = false;

    /** The size of the output buffer that PHP opens for each script (output_buffering). */
    private static int $buffering = 0;

    public static function boot(): void
    {
        self::$poweredBy = ini_get('expose_php') ? 'X-Powered-By: PHP/' . PHP_VERSION : '';
        $charset = (string) ini_get('default_charset');
        self::$defaultType = 'Content-type: ' . ini_get('default_mimetype') . ($charset === '' ? '' : "; charset=$charset") . "\r\n";
        self::$buffering = (int) ini_get('output_buffering');
        while (count(ob_list_handlers()) > 0) {
            ob_end_clean();
        }
        // With a size of 1 each write to this buffer gets to the callback at once. It can
        // be flushed, but neither removed nor cleaned.
        ob_start([self::class, 'write'], 1, PHP_OUTPUT_HANDLER_FLUSHABLE);
    }

    /** Opens the response of a request. */
    public static function open(): void
    {
        header_remove();
        http_response_code(200);
        if (self::$poweredBy !== '') {
            header(self::$poweredBy);
        }
        self::$content = '';
        self::$open = true;
        self::$headSent = self::$implicitFlush = false;
        self::$headCallback = null;
        self::$bodyless = ($_SERVER['REQUEST_METHOD'] ?? '') === 'HEAD';
        if (self::$buffering > 0) {
            ob_start(null, self::$buffering > 1 ? self::$buffering : 0);
        }
    }

    /**
     * The callback of the buffer below all others. Its last call is the last of all PHP
     * code that runs, also when the script ends by exit() or a fatal error.
     */
    public static function write(string $data, int $phase): string
    {
        $ends = $phase & PHP_OUTPUT_HANDLER_FINAL;
        if ($ends && $phase & PHP_OUTPUT_HANDLER_CLEAN) {
            // The memory limit was exceeded: PHP discards all output and goes on to the
            // shutdown functions.
            self::$content = '';
            return '';
        }
        if (self::$open) {
            if (!self::$headSent && $data !== '') {
                // PHP sends the header with the first output that no buffer holds back.
                self::$content = self::head();
            }
            if (!self::$bodyless) {
                self::$content .= $data;
            }
            if (isset(self::$content[65535]) || self::$implicitFlush) {
                self::flush();
            }
        } elseif (!PhpPoolWorker::$ready && trim($data) !== '') {
            error_log('the worker script has written before its first request: ' . $data);
        }
        if ($ends) {
            PhpPoolWorker::end();
        }
        return '';
    }

    /** Writes $data, also after PHP has ended the output buffers. */
    public static function print(string $data): void
    {
        if (count(ob_list_handlers()) > 0) {
            echo $data;
        } else {
            self::write($data, 0);
        }
    }

    /** Sends what has been written. */
    public static function flush(): void
    {
        if (!self::$open) {
            return;
        }
        PhpPoolConnection::send(self::take());
    }

    /** Returns the records of what has been written and not sent. */
    private static function take(): string
    {
        if (!self::$headSent) {
            self::$content = self::head();
        }
        $content = self::$content;
        self::$content = '';
        return PhpPoolConnection::records(PhpPoolConnection::STDOUT, $content);
    }

    /** headers_send(): sends the header, or an interim response with what it has so far. */
    public static function sendHead(int $status): int
    {
        if (self::$headSent || !self::$open) {
            return 0;
        }
        if ($status >= 100 && $status < 200) {
            // A signal: see package fastcgi, signal.go.
            $lines = base64_encode(implode("\n", headers_list()));
            PhpPoolConnection::sendStream(PhpPoolConnection::STDERR, "@MARK@ early $status $lines;\n");
            return 1;
        }
        http_response_code($status);
        self::flush();
        return 1;
    }

    /** Completes the response. */
    public static function finish(): bool
    {
        if (!self::$open) {
            return false;
        }
        $last = self::take();
        self::$open = false;
        PhpPoolConnection::send($last . PhpPoolConnection::endRecord());
        return true;
    }

    /** Ends the output buffers that the request has left open. */
    public static function endBuffers(): void
    {
        while (count(ob_list_handlers()) > 1) {
            ob_end_flush();
        }
    }

    /** Returns the header as CGI defines it (RFC 3875, section 6). */
    private static function head(): string
    {
        self::$headSent = true; // first, because the callback may write
        if (self::$headCallback !== null) {
            $callback = self::$headCallback;
            self::$headCallback = null;
            $callback();
        }
        $lines = PhpPoolSession::withoutKnownCookie(headers_list());
        $head = 'Status: ' . http_response_code() . "\r\n";
        if ($lines !== []) {
            $head .= implode("\r\n", $lines) . "\r\n";
        }
        if (stripos($head, "\ncontent-type:") === false) {
            $head .= self::$defaultType;
        }
        return $head . "\r\n";
    }
}
