<?php
/*
 * A request to a worker script: its parameters, and the superglobals that PHP fills
 * from them (main/php_variables.c, sapi/cgi/cgi_main.c).
 */

final class PhpPoolRequest
{
    /** What $_SERVER has in every request: the environment of the process. */
    private static array $environment = [];

    /** The parameters before REQUEST_METHOD, encoded, and $_SERVER with nothing but these. */
    private static string $first = '';
    private static array $firstPairs = [];

    /** The parts of $_REQUEST, in the order of request_order. */
    private static string $requestOrder = 'GP';

    private static bool $registersArgv = false;

    /** The variables as the request has them, for the filter functions. */
    private static array $input = [];

    /** The parameters of the request that runs the worker script. */
    const OF_BOOT = [
        'SCRIPT_FILENAME', 'SCRIPT_NAME', 'DOCUMENT_ROOT', 'DOCUMENT_URI', 'PATH_INFO', 'REQUEST_METHOD', 'REQUEST_URI',
        'QUERY_STRING', 'GATEWAY_INTERFACE', 'SERVER_PROTOCOL', 'SERVER_NAME', 'SERVER_PORT', 'SERVER_SOFTWARE',
        'REMOTE_ADDR', 'REDIRECT_STATUS', 'PHP_SELF', 'REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'argv', 'argc',
    ];

    public static function boot(): void
    {
        PhpPoolVariables::boot();
        self::$environment = array_diff_key($_SERVER, array_flip(self::OF_BOOT));
        $settings = ini_get_all(null, false); // unlike ini_get, it tells '' from nothing
        self::$requestOrder = strtoupper($settings['request_order'] ?? $settings['variables_order'] ?? '');
        self::$registersArgv = (bool) ini_get('register_argc_argv');
    }

    /**
     * Waits for the next request and makes the superglobals of it. Returns false if the
     * script has to end.
     */
    public static function next(): bool
    {
        $encoded = PhpPoolConnection::receiveShortRequest();
        if ($encoded === null && ($encoded = self::receiveParams()) === null) {
            return false;
        }
        $server = self::decode($encoded);
        $now = microtime(true);
        $server['REQUEST_TIME_FLOAT'] = $now;
        $server['REQUEST_TIME'] = (int) $now;
        $server['PHP_SELF'] = ($server['SCRIPT_NAME'] ?? '') . ($server['PATH_INFO'] ?? '');
        if (isset($server['HTTP_AUTHORIZATION'])) {
            self::authenticate($server);
        }
        $query = $server['QUERY_STRING'] ?? '';
        $_GET = $query === '' ? [] : PhpPoolVariables::parse($query);
        $_COOKIE = isset($server['HTTP_COOKIE']) ? self::cookies($server['HTTP_COOKIE']) : [];
        $_POST = $_FILES = [];
        if (self::$registersArgv) {
            $server['argv'] = $query === '' ? [] : explode('+', $query);
            $server['argc'] = count($server['argv']);
        }
        $_SERVER = $server;
        if (PhpPoolBody::$pending && !PhpPoolBody::read()) {
            return false;
        }
        self::makeRequestVariable();
        self::$input = [INPUT_GET => $_GET, INPUT_POST => $_POST, INPUT_COOKIE => $_COOKIE, INPUT_SERVER => $server];
        return true;
    }

    /** Receives the records of a request up to its STDIN; null if the script has to end. */
    private static function receiveParams(): ?string
    {
        $params = '';
        $begun = false;
        while ($record = PhpPoolConnection::receive()) {
            [$type, $id, $content] = $record;
            if ($type === PhpPoolConnection::BEGIN_REQUEST) {
                PhpPoolConnection::begin(pack('n', $id));
                $begun = true;
            } elseif ($type === PhpPoolConnection::PARAMS && $begun) {
                if ($content === '') {
                    PhpPoolBody::$pending = true;
                    return $params;
                }
                $params .= $content;
            } elseif ($type === PhpPoolConnection::STOP) {
                return null;
            }
            // Anything else belongs to an earlier request, which ABORT_REQUEST has missed.
        }
        return null;
    }

    /**
     * Decodes name-value pairs (FastCGI 1.0, section 3.4) and adds them to the environment.
     * What comes before REQUEST_METHOD is mostly that of the last request, and is not decoded
     * again then: decoding takes half of the time of a request without a framework.
     */
    private static function decode(string $encoded): array
    {
        $known = strlen(self::$first);
        if ($known > 0 && strncmp($encoded, self::$first, $known) === 0) {
            $pairs = self::$firstPairs;
        } else {
            $known = 0;
            $pairs = self::$environment;
        }
        $i = $known;
        $end = strlen($encoded);
        while ($i < $end) {
            $start = $i;
            $nameLength = ord($encoded[$i]);
            if ($nameLength > 127) {
                $nameLength = unpack('N', $encoded, $i)[1] & 0x7fffffff;
                $i += 3;
            }
            $valueLength = ord($encoded[++$i]);
            if ($valueLength > 127) {
                $valueLength = unpack('N', $encoded, $i)[1] & 0x7fffffff;
                $i += 3;
            }
            $name = substr($encoded, ++$i, $nameLength);
            if ($name === 'REQUEST_METHOD' && $start > $known) {
                self::$first = substr($encoded, 0, $start);
                self::$firstPairs = $pairs;
            }
            $pairs[$name] = substr($encoded, $i += $nameLength, $valueLength);
            $i += $valueLength;
        }
        return $pairs;
    }

    /** Adds the variables for the Authorization header (php_handle_auth_data in main/main.c). */
    private static function authenticate(array &$server): void
    {
        $value = $server['HTTP_AUTHORIZATION'];
        if (strncasecmp($value, 'Basic ', 6) === 0) {
            $credentials = base64_decode(substr($value, 6));
            if ($credentials !== false && strpos($credentials, ':') !== false) {
                [$server['PHP_AUTH_USER'], $server['PHP_AUTH_PW']] = explode(':', $credentials, 2);
            }
        } elseif (strncasecmp($value, 'Digest ', 7) === 0) {
            $server['PHP_AUTH_DIGEST'] = substr($value, 7);
        }
    }

    /**
     * Parses the Cookie header (php_default_treat_data in main/php_variables.c). Values
     * are decoded, names are not; the first of several cookies with a name counts.
     */
    public static function cookies(string $header): array
    {
        $cookies = [];
        foreach (explode(';', $header) as $pair) {
            $pair = explode('=', ltrim($pair, " \t\n\r\v\f"), 2);
            $name = $pair[0];
            if ($name === '') {
                continue;
            }
            $value = isset($pair[1]) ? rawurldecode($pair[1]) : '';
            if (strcspn($name, " .[\0") === strlen($name)) {
                $cookies += [$name => $value];
            } else {
                PhpPoolVariables::set($cookies, $name, $value, true);
            }
        }
        return $cookies;
    }

    /** Returns the variables of an INPUT_ constant. */
    public static function input(int $type, string $function): array
    {
        if ($type === INPUT_ENV) {
            return $_ENV;
        }
        if (!isset(self::$input[$type])) {
            $parameter = $function === 'filter_has_var' ? '$input_type' : '$type';
            throw new ValueError("$function(): Argument #1 ($parameter) must be an INPUT_* constant");
        }
        return self::$input[$type];
    }

    /**
     * Returns the header, with the names as PHP writes them (sapi_add_request_header in
     * sapi/cgi/cgi_main.c): the first letter and those after a hyphen are capitals.
     */
    public static function headers(): array
    {
        $headers = [];
        foreach (self::$input[INPUT_SERVER] ?? [] as $name => $value) {
            if (strncmp($name, 'HTTP_', 5) === 0) {
                $headers[strtr(ucwords(strtolower(strtr(substr($name, 5), '_', '-')), '-'), ' ', '-')] = $value;
            } elseif ($name === 'CONTENT_TYPE') {
                $headers['Content-Type'] = $value;
            } elseif ($name === 'CONTENT_LENGTH') {
                $headers['Content-Length'] = $value;
            }
        }
        return $headers;
    }

    private static function makeRequestVariable(): void
    {
        if (self::$requestOrder === 'GP') {
            if ($_POST === []) {
                $_REQUEST = $_GET;
            } else {
                $_REQUEST = $_GET === [] ? $_POST : array_replace_recursive($_GET, $_POST);
            }
            return;
        }
        $_REQUEST = [];
        foreach (self::$requestOrder === '' ? [] : str_split(self::$requestOrder) as $letter) {
            $more = ['G' => $_GET, 'P' => $_POST, 'C' => $_COOKIE][$letter] ?? [];
            $_REQUEST = array_replace_recursive($_REQUEST, $more);
        }
    }
}
