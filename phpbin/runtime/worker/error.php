<?php
/*
 * An exception that nothing has caught. PHP would stop there; a worker script goes
 * on with the next request.
 */

final class PhpPoolError
{
    public static function uncaught(Throwable $e): void
    {
        // PHP keeps 16 bytes for each call that is not taken back.
        $handler = set_exception_handler(null);
        restore_exception_handler();
        if ($handler !== null) {
            $handler($e);
            return;
        }
        $type = $e instanceof ParseError ? 'Parse error' : 'Fatal error';
        $text = $e instanceof CompileError ? $e->getMessage() : 'Uncaught ' . self::withoutOurFrames((string) $e) . "\n  thrown";
        $file = $e->getFile();
        $line = $e->getLine();
        if (ini_get('log_errors')) {
            error_log("PHP $type:  $text in $file on line $line");
        }
        if (self::display($type, $text, $file, $line)) {
            return;
        }
        if (!PhpPoolOutput::$headSent && http_response_code() === 200) {
            http_response_code(500);
        }
    }

    /** The longest entry that frankenphp_log() sends as one, encoded (maxSignal in package fastcgi). */
    const MAX_ENTRY = 60000;

    /** frankenphp_log() */
    public static function log(string $message, int $level, array $context): void
    {
        $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PARTIAL_OUTPUT_ON_ERROR;
        $json = $context === [] ? '' : (string) json_encode((object) $context, $flags);
        $entry = $level . ' ' . base64_encode($message) . ' ' . base64_encode($json);
        if (PhpPoolOutput::$open && strlen($entry) <= self::MAX_ENTRY) {
            // A signal: see package fastcgi, signal.go.
            PhpPoolConnection::sendStream(PhpPoolConnection::STDERR, "@MARK@ log $entry;\n");
            return;
        }
        error_log($context === [] ? $message : $message . ' ' . json_encode($context, $flags));
    }

    /** Warns of something in the request itself, as PHP does before it runs the script. */
    public static function warnAtStartup(string $text, string $type = 'Warning', int $level = E_WARNING): void
    {
        if (ini_get('log_errors') && error_reporting() & $level) {
            error_log("PHP $type:  $text in Unknown on line 0");
        }
    }

    /** Removes the calls of this file from stack traces. */
    private static function withoutOurFrames(string $text): string
    {
        $lines = [];
        $removed = 0;
        foreach (explode("\n", $text) as $line) {
            if (!preg_match('/^#(\d+) (.*)/s', $line, $frame)) {
                $removed = 0;
                $lines[] = $line;
            } elseif (strncmp($frame[2], __FILE__ . '(', strlen(__FILE__) + 1) === 0) {
                $removed++;
            } else {
                $lines[] = '#' . ($frame[1] - $removed) . ' ' . $frame[2];
            }
        }
        return implode("\n", $lines);
    }

    /** Writes a message as php_error_cb in main/main.c does, if display_errors is on. */
    public static function display(string $type, string $text, string $file, int $line): bool
    {
        if (!PhpPoolIni::isOn('display_errors')) {
            return false;
        }
        if (ini_get('html_errors')) {
            $text = htmlspecialchars($text);
            $message = "<br />\n<b>$type</b>:  $text in <b>$file</b> on line <b>$line</b><br />\n";
        } else {
            $message = "\n$type: $text in $file on line $line\n";
        }
        PhpPoolOutput::print(ini_get('error_prepend_string') . $message . ini_get('error_append_string'));
        return true;
    }
}
