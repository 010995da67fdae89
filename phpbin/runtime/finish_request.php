<?php
/*
 * php-fpm has fastcgi_finish_request(), php-cgi does not. php_pool defines it for
 * PHP 7.0 and newer.
 *
 * php-cgi writes the text of error_log($text, 4) to FCGI_STDERR, in order with the
 * output (sapi/cgi/cgi_main.c, sapi_cgi_log_message), whatever log_errors and
 * error_log are set to. Text after the mark is a signal to php_pool (package fastcgi,
 * signal.go). The mark is random, so that nothing that an application logs can be a
 * signal.
 */

if (!function_exists('fastcgi_finish_request')) {
    /**
     * Completes the response. The script continues without the client.
     *
     * Returns false if the response is complete already, or if an output buffer
     * cannot be removed.
     */
    function fastcgi_finish_request(): bool
    {
        static $finished = false; // PHP resets it with each request
        if ($finished) {
            return false;
        }
        while (ob_get_level() > 0 && @ob_end_flush()) {
        }
        if (ob_get_level() > 0) {
            return false;
        }
        $finished = true;
        flush(); // sends the header since PHP 8.4; before that only together with content
        $sent = headers_sent();
        error_log('@MARK@ finish ' . ($sent ? 1 : 0) . ';', 4);
        if (!$sent) {
            echo ' '; // sends the header; php_pool drops this byte
        }
        flush();
        return true;
    }
}
