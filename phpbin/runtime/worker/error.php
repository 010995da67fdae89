<?php
/*
 * An exception that nothing has caught. PHP would end the script; a worker script goes
 * on with the next request.
 */

final class PhpPoolError
{
    public static function uncaught(Throwable $e): void
    {
        $handler = set_exception_handler(null);
        if ($handler !== null) {
            set_exception_handler($handler);
            $handler($e);
            return;
        }
        $text = 'Uncaught ' . $e . "\n  thrown";
        $file = $e->getFile();
        $line = $e->getLine();
        if (ini_get('log_errors')) {
            error_log("PHP Fatal error:  $text in $file on line $line");
        }
        if (PhpPoolIni::isOn('display_errors')) {
            echo ini_get('error_prepend_string'), self::format($text, $file, $line), ini_get('error_append_string');
        } elseif (!PhpPoolOutput::$headSent && http_response_code() === 200) {
            http_response_code(500);
        }
    }

    /** Warns of something in the request itself, as PHP does before it runs the script. */
    public static function warnAtStartup(string $text): void
    {
        if (ini_get('log_errors') && error_reporting() & E_WARNING) {
            error_log("PHP Warning:  PHP Request Startup: $text in Unknown on line 0");
        }
    }

    /** Formats a message as php_error_cb in main/main.c does. */
    private static function format(string $text, string $file, int $line): string
    {
        if (ini_get('html_errors')) {
            $text = htmlspecialchars($text);
            return "<br />\n<b>Fatal error</b>:  $text in <b>$file</b> on line <b>$line</b><br />\n";
        }
        return "\nFatal error: $text in $file on line $line\n";
    }
}
