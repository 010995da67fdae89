<?php
/*
 * The body of a request to a worker script: $_POST, $_FILES and php://input (main/SAPI.c,
 * main/rfc1867.c).
 */

final class PhpPoolBody
{
    /** The request has STDIN records that have not been received. */
    public static bool $pending = false;

    /** @var resource that php://input reads: see findInput */
    private static $input;
    private static bool $filled = false;

    /** It has become a file, whose name has been removed. */
    private static bool $unlinked = false;

    /** The temporary files of uploads that the script has not moved. */
    public static array $uploads = [];

    private static bool $parses = true;
    private static int $maxSize = 0;

    public static function boot(): void
    {
        self::$parses = (bool) ini_get('enable_post_data_reading');
        self::$maxSize = PhpPoolIni::bytes('post_max_size');
        self::findInput();
    }

    /**
     * Finds the stream that php://input reads. PHP creates it when php://input is opened
     * for the first time, keeps it until the request ends, and fills it once only
     * (php_stream_input_read in ext/standard/php_fopen_wrapper.c): for the request of the
     * worker script with nothing. From then on it has what is written to it here.
     */
    private static function findInput(): void
    {
        $before = get_resources('stream');
        $opened = fopen('php://input', 'r');
        fread($opened, 1);
        foreach (array_diff_key(get_resources('stream'), $before) as $stream) {
            if (stream_get_meta_data($stream)['stream_type'] === 'TEMP') {
                self::$input = $stream;
            }
        }
        fclose($opened);
        if (self::$input === null) {
            error_log('php_pool: cannot find the stream of php://input in PHP ' . PHP_VERSION);
            exit(1);
        }
    }

    /** Receives the body. Returns false if the script has to end. */
    public static function read(): bool
    {
        self::$pending = false;
        $stored = PhpPoolConnection::receiveStored();
        $type = self::formType();
        if ($type === 'multipart/form-data' && ($boundary = PhpPoolMultipart::boundary($_SERVER['CONTENT_TYPE'])) !== null) {
            $form = new PhpPoolMultipart($boundary, $stored ? [self::class, 'readStored'] : [PhpPoolConnection::class, 'receiveBody']);
            [$_POST, $_FILES] = $form->parse();
            if ($stored) {
                self::emptyInput(); // as in plain PHP
                return true;
            }
            return self::skip();
        }
        if ($stored) {
            self::$filled = true;
            if ($type === 'application/x-www-form-urlencoded') {
                $_POST = PhpPoolVariables::parse(stream_get_contents(self::$input, -1, 0));
            }
            return true;
        }
        $text = '';
        while (($part = PhpPoolConnection::receiveBody()) !== '') {
            if ($part === null) {
                return false;
            }
            fwrite(self::$input, $part);
            self::$filled = true;
            if ($type !== '') {
                $text .= $part;
            }
        }
        if (!self::$unlinked) {
            self::unlinkInput();
        }
        if ($type === 'application/x-www-form-urlencoded') {
            $_POST = PhpPoolVariables::parse($text);
        }
        return true;
    }

    /** Returns the type of the form that the body is, in lower case; '' if it is not a form. */
    private static function formType(): string
    {
        if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !self::$parses) {
            return '';
        }
        $length = (int) ($_SERVER['CONTENT_LENGTH'] ?? 0);
        if (self::$maxSize > 0 && $length > self::$maxSize) {
            PhpPoolError::warnAtStartup("PHP Request Startup: POST Content-Length of $length bytes exceeds the limit of " . self::$maxSize . ' bytes');
            return '';
        }
        $type = $_SERVER['CONTENT_TYPE'] ?? '';
        $type = strtolower(substr($type, 0, strcspn($type, ';, ')));
        return $type === 'multipart/form-data' || $type === 'application/x-www-form-urlencoded' ? $type : '';
    }

    /** Receives what is left of the body. */
    private static function skip(): bool
    {
        if (PhpPoolMultipart::$atEnd) {
            return true;
        }
        while (($part = PhpPoolConnection::receiveBody()) !== '') {
            if ($part === null) {
                return false;
            }
        }
        return true;
    }

    /** Frees what belongs to the request. */
    public static function free(): void
    {
        if (self::$filled) {
            self::emptyInput();
        }
        if (self::$uploads !== []) {
            foreach (self::$uploads as $path => $true) {
                @unlink($path);
            }
            self::$uploads = [];
        }
    }

    /** Returns the next part of a body that is in the file of php://input, '' at its end. */
    public static function readStored(): string
    {
        return (string) fread(self::$input, 65536);
    }

    private static function emptyInput(): void
    {
        ftruncate(self::$input, 0);
        rewind(self::$input);
        self::$filled = false;
    }

    /**
     * Removes the name of the temporary file of php://input, which would be left if the
     * process were killed, and tells php_pool its descriptor: php_pool stores the larger
     * of the next bodies there. PHP tells nobody the name. It is not found where open_basedir
     * keeps scripts out of /proc, or without that.
     */
    private static function unlinkInput(): void
    {
        $file = fstat(self::$input);
        if (!$file || $file['ino'] === 0) {
            return; // it is in memory
        }
        self::$unlinked = true;
        foreach (@scandir('/proc/self/fd') ?: [] as $number) {
            $other = @stat("/proc/self/fd/$number");
            if ($other && $other['ino'] === $file['ino'] && $other['dev'] === $file['dev'] && @unlink((string) @readlink("/proc/self/fd/$number"))) {
                // A signal: see package fastcgi, signal.go.
                PhpPoolConnection::sendStream(PhpPoolConnection::STDERR, "@MARK@ input $number;\n");
            }
        }
    }

    /** move_uploaded_file() */
    public static function move(string $from, string $to): bool
    {
        if (!isset(self::$uploads[$from])) {
            return false;
        }
        if (!@rename($from, $to)) {
            if (!copy($from, $to)) {
                trigger_error("move_uploaded_file(): Unable to move \"$from\" to \"$to\"", E_USER_WARNING);
                return false;
            }
            unlink($from);
        }
        unset(self::$uploads[$from]);
        @chmod($to, 0666 & ~umask());
        return true;
    }

    /**
     * request_parse_body() of PHP 8.4, which parses a body with any method
     * (ext/standard/http.c). A multipart form that exceeds a limit is an exception there.
     */
    public static function parseAgain(array $options): array
    {
        $limits = self::limits($options);
        $exception = 'RequestParseBodyException'; // other releases do not have it
        $type = $_SERVER['CONTENT_TYPE'] ?? null;
        if ($type === null) {
            throw new $exception('Request does not provide a content type');
        }
        $form = strtolower(substr($type, 0, strcspn($type, ';, ')));
        if ($form !== 'application/x-www-form-urlencoded' && $form !== 'multipart/form-data') {
            throw new $exception("Content-Type \"$type\" is not supported");
        }
        $length = (int) ($_SERVER['CONTENT_LENGTH'] ?? 0);
        $most = $limits['post_max_size'] ?? self::$maxSize;
        if ($most > 0 && $length > $most) {
            $text = "POST Content-Length of $length bytes exceeds the limit of $most bytes";
            if ($form === 'multipart/form-data') {
                throw new $exception($text);
            }
            trigger_error($text, E_USER_WARNING);
            return [[], []];
        }
        $input = stream_get_contents(self::$input, -1, 0);
        if ($form === 'application/x-www-form-urlencoded') {
            return [PhpPoolVariables::parse($input, $limits['max_input_vars'] ?? null), []];
        }
        $parts = [$input, ''];
        PhpPoolMultipart::$exception = $exception;
        try {
            return (new PhpPoolMultipart((string) PhpPoolMultipart::boundary($type), static function () use (&$parts) {
                return array_shift($parts);
            }, $limits))->parse();
        } finally {
            PhpPoolMultipart::$exception = '';
        }
    }

    /** Returns the options of request_parse_body() as numbers. */
    private static function limits(array $options): array
    {
        $limits = [];
        foreach ($options as $name => $value) {
            if (is_int($name)) {
                throw new ValueError('Invalid integer key in $options argument');
            }
            if ($name === '') {
                throw new ValueError('Invalid empty string key in $options argument');
            }
            $lower = strtolower($name);
            if (!in_array($lower, ['max_file_uploads', 'max_input_vars', 'max_multipart_body_parts', 'post_max_size', 'upload_max_filesize'], true)) {
                throw new ValueError("Invalid key \"$name\" in \$options argument");
            }
            if (!is_int($value) && !is_string($value)) {
                throw new ValueError('Invalid ' . get_debug_type($value) . ' value in $options argument');
            }
            $limits[$lower] = is_int($value) ? $value : ini_parse_quantity($value);
        }
        return $limits;
    }
}
