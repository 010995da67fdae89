<?php
/*
 * FrankenPHP has headers_send(), for Early Hints (RFC 8297), php-cgi does not.
 * php_pool defines it for PHP 7.0 and newer. finish_request.php explains the mark.
 */

if (!function_exists('headers_send')) {
    /**
     * Sends the header now: as an interim response if the status is from 100 to 199,
     * for example 103 (Early Hints), after which the header can still be changed;
     * else as that of the response.
     *
     * Returns 1, or 0 if the header was sent before.
     */
    function headers_send(int $status = 200): int
    {
        if (headers_sent()) {
            return 0;
        }
        if ($status >= 100 && $status < 200) {
            // flush() would send the header since PHP 8.4. The spaces fill php-cgi's
            // buffer of 8 KiB instead, which sends the signal (main/fastcgi.c, fcgi_write).
            $lines = base64_encode(implode("\n", headers_list()));
            error_log("@MARK@ early $status $lines;" . str_repeat(' ', 16384), 4);
            return 1;
        }
        http_response_code($status);
        flush();
        if (!headers_sent()) {
            error_log('@MARK@ headers;', 4);
            echo ' '; // sends the header; php_pool drops this byte
            flush();
        }
        return 1;
    }
}
