<?php
/*
 * Sessions. PHP keeps the id of a session until its request ends, which that of a worker
 * script does not, and it reads the cookie only while there is no id (php_session_start
 * in ext/session/session.c).
 *
 * Only session_destroy() makes PHP forget the id. It must not destroy anything, so it
 * runs with a handler that has no sessions. Afterwards session_module_name() sets PHP's
 * own handler again. Nothing can set a handler object of the application again: there the
 * id is not forgotten, but set for each request as the cookie says.
 */

final class PhpPoolSession
{
    private static bool $available = false;

    /** The id is set for each request. */
    private static bool $setsId = false;

    /** The cookies of the request of which the id was set, as Set-Cookie lines. */
    private static array $known = [];

    private static bool $autoStart = false;

    private static ?PhpPoolNoSessions $none = null;

    public static function boot(): void
    {
        self::$available = function_exists('session_start');
        self::$autoStart = self::$available && ini_get('session.auto_start');
        self::end();
    }

    /** Is called before each request. */
    public static function begin(): void
    {
        unset($GLOBALS['_SESSION']);
        if (self::$setsId) {
            self::$known = [];
            self::setId();
        }
        if (self::$autoStart) {
            session_start();
        }
    }

    private static function setId(): void
    {
        $name = ini_get('session.name');
        $id = $_COOKIE[$name] ?? '';
        if (!is_string($id)) {
            $id = '';
        }
        session_id($id); // with '' PHP makes a new one
        if ($id !== '') {
            self::$known[] = "Set-Cookie: $name=$id";
        }
    }

    /** session_name(): the cookie with the new name has another id. */
    public static function name(?string $name): string|false
    {
        $old = ini_get('session.name');
        if ($name !== null && $name !== $old) {
            if (ini_set('session.name', $name) === false) {
                return false; // PHP has warned
            }
            if (self::$setsId) {
                self::setId();
            }
        }
        return $old;
    }

    /** Writes the session. */
    public static function close(): void
    {
        if (self::$available && session_status() === PHP_SESSION_ACTIVE) {
            session_write_close();
        }
    }

    /** Is called after each request. */
    public static function end(): void
    {
        self::close();
        if (!self::$available || session_id() === '') {
            return;
        }
        self::$setsId = ini_get('session.save_handler') === 'user';
        if (!self::$setsId) {
            self::forget();
        }
    }

    /**
     * Returns header lines without the cookie of the session if the client has sent it:
     * PHP takes an id that was set for a new one.
     */
    public static function withoutKnownCookie(array $lines): array
    {
        if (self::$known === [] || !ini_get('session.use_cookies')) {
            return $lines;
        }
        $known = self::$known;
        foreach ($lines as $i => $line) {
            $found = array_search(substr($line, 0, strcspn($line, ';')), $known, true);
            if ($found !== false) {
                unset($lines[$i], $known[$found]); // but not one that the script has added itself
            }
        }
        return $lines;
    }

    private static function forget(): void
    {
        self::$none ??= new PhpPoolNoSessions();
        $handler = ini_get('session.save_handler');
        $changed = [];
        $temporary = [
            'use_cookies' => '0', 'use_only_cookies' => '1', 'cache_limiter' => '', 'gc_probability' => '0',
            'use_trans_sid' => '0', 'use_strict_mode' => '0', 'lazy_write' => '0',
        ];
        foreach ($temporary as $name => $value) {
            $old = ini_get("session.$name");
            if ($old !== $value) {
                $changed["session.$name"] = $old;
                ini_set("session.$name", $value);
            }
        }
        if (session_set_save_handler(self::$none, false) && @session_start()) {
            session_destroy();
        }
        foreach ($changed as $name => $value) {
            ini_set($name, $value);
        }
        session_module_name($handler);
        unset($GLOBALS['_SESSION']);
    }
}

/** Sessions of which none exists. */
final class PhpPoolNoSessions implements SessionHandlerInterface
{
    public function open(string $path, string $name): bool
    {
        return true;
    }

    public function close(): bool
    {
        return true;
    }

    public function read(string $id): string
    {
        return '';
    }

    public function write(string $id, string $data): bool
    {
        return true;
    }

    public function destroy(string $id): bool
    {
        return true;
    }

    public function gc(int $maxLifetime): int
    {
        return 0;
    }
}
