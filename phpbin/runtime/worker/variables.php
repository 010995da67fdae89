<?php
/*
 * How PHP makes variables of the names in a request (php_register_variable_ex in
 * main/php_variables.c). parse_str() does the same, but only for text.
 */

final class PhpPoolVariables
{
    private static int $most = 0;
    private static int $deepest = 0;

    public static function boot(): void
    {
        self::$most = (int) ini_get('max_input_vars');
        self::$deepest = (int) ini_get('max_input_nesting_level');
    }

    /**
     * Parses a query string or a form of the type application/x-www-form-urlencoded, with
     * at most $most variables instead of max_input_vars.
     */
    public static function parse(string $text, ?int $most = null): array
    {
        if ($most !== null) {
            return self::parsePairs($text, $most);
        }
        if (substr_count($text, '&') < self::$most && substr_count($text, '[') + substr_count($text, '%') <= self::$deepest) {
            parse_str($text, $variables);
            return $variables;
        }
        // PHP may warn that a limit is exceeded, which is no business of the error handler
        // that the script has set.
        set_error_handler(static function (int $level, string $message): bool {
            PhpPoolError::warnAtStartup('PHP Request Startup: ' . substr($message, strlen('parse_str(): ')));
            return true;
        });
        parse_str($text, $variables);
        restore_error_handler();
        return $variables;
    }

    private static function parsePairs(string $text, int $most): array
    {
        $variables = [];
        $count = 0;
        foreach (explode('&', $text) as $pair) {
            if ($pair === '') {
                continue;
            }
            $pair = explode('=', $pair, 2);
            self::set($variables, urldecode($pair[0]), urldecode($pair[1] ?? ''));
            if (++$count > $most) { // add_post_vars in main/php_variables.c adds this one
                trigger_error("Input variables exceeded $most. To increase the limit change max_input_vars in php.ini.", E_USER_WARNING);
                break;
            }
        }
        return $variables;
    }

    /**
     * Sets what PHP calls $name, such as a[b][], in $variables. With $first a variable
     * that exists is left alone, as PHP does with cookies.
     *
     * @param string|int $value
     */
    public static function set(array &$variables, string $name, $value, bool $first = false): void
    {
        $name = ltrim(substr($name, 0, strcspn($name, "\0")), ' ');
        $at = strcspn($name, '[');
        $key = strtr(substr($name, 0, $at), ' .', '__');
        if ($key === '') {
            return;
        }
        $base = $key;
        $target = &$variables;
        $top = true;
        $levels = self::$deepest;
        while (($name[$at] ?? '') === '[') {
            if (--$levels < 0) {
                unset($variables[$base]);
                if (!PhpPoolIni::isOn('display_errors')) {
                    PhpPoolError::warnAtStartup('PHP Request Startup: Input variable nesting level exceeded ' . self::$deepest
                        . '. To increase the limit change max_input_nesting_level in php.ini.');
                }
                return;
            }
            $start = $at + 1;
            $space = strspn($name, " \t\n\r\v\f", $start, 1);
            $end = strpos($name, ']', $start + $space);
            if ($end === false) {
                if ($top) {
                    $key .= '_' . strtr(substr($name, $start), ' .[', '___');
                }
                break;
            }
            if ($key === null) {
                $target[] = [];
                $key = array_key_last($target);
            } elseif (self::isForbidden($key, $name)) {
                return;
            } elseif (!isset($target[$key]) || !is_array($target[$key])) {
                $target[$key] = [];
            }
            $target = &$target[$key];
            $top = false;
            $key = $end === $start + $space ? null : substr($name, $start, $end - $start);
            $at = $end + 1;
        }
        if ($key === null) {
            $target[] = $value;
        } elseif (!self::isForbidden($key, $name) && !($first && $top && array_key_exists($key, $target))) {
            $target[$key] = $value;
        }
    }

    /** Reports whether a name has got a prefix that browsers protect only by the change. */
    private static function isForbidden(string $key, string $name): bool
    {
        return strncmp($key, '__', 2) === 0
            && (strncmp($key, '__Host-', 7) === 0 && strncmp($name, '__Host-', 7) !== 0
                || strncmp($key, '__Secure-', 9) === 0 && strncmp($name, '__Secure-', 9) !== 0);
    }
}
