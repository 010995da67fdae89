<?php
/*
 * The body of a request to a worker script: $_POST, $_FILES and php://input (main/SAPI.c,
 * main/rfc1867.c).
 */

final class PhpPoolBody
{
    /** Up to this size, in bytes, php://input is in memory. */
    const IN_MEMORY = 1 << 20;

    /** The request has STDIN records that have not been received. */
    public static bool $pending = false;

    /** php://input of the request; null for a file. */
    public static ?string $input = '';
    /** @var resource */
    public static $file = null;

    /** The temporary files of uploads that the script has not moved. */
    public static array $uploads = [];

    /** php:// is PhpPoolStream. */
    private static bool $replaced = false;

    private static bool $parses = true;
    private static int $maxSize = 0;

    public static function boot(): void
    {
        self::$parses = (bool) ini_get('enable_post_data_reading');
        self::$maxSize = PhpPoolIni::bytes('post_max_size');
    }

    /** Receives the body. Returns false if the script has to end. */
    public static function read(): bool
    {
        self::$pending = false;
        $type = self::formType();
        if ($type === 'multipart/form-data' && ($boundary = PhpPoolMultipart::boundary($_SERVER['CONTENT_TYPE'])) !== null) {
            $form = new PhpPoolMultipart($boundary, [self::class, 'receive']);
            [$_POST, $_FILES] = $form->parse();
            return self::skip();
        }
        if (!self::receiveInput()) {
            return false;
        }
        if ($type === 'application/x-www-form-urlencoded') {
            $_POST = PhpPoolVariables::parse(self::$input ?? stream_get_contents(self::$file, -1, 0));
        }
        if (self::$input !== '') {
            stream_wrapper_unregister('php');
            stream_wrapper_register('php', PhpPoolStream::class);
            self::$replaced = true;
        }
        return true;
    }

    /** Returns the type of the form that the body is, in lower case; '' if it is none. */
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

    private static function receiveInput(): bool
    {
        $body = '';
        while (($part = self::receive()) !== null) {
            if ($part === '') {
                self::$input = self::$file === null ? $body : null;
                return true;
            }
            if (self::$file !== null) {
                fwrite(self::$file, $part);
            } elseif (strlen($body) + strlen($part) > self::IN_MEMORY) {
                self::$file = fopen('php://temp/maxmemory:0', 'w+');
                fwrite(self::$file, $body);
                fwrite(self::$file, $part);
                $body = '';
            } elseif ($body === '') {
                $body = $part;
            } else {
                $body .= $part;
            }
        }
        return false;
    }

    /** Returns the next part of the body, '' at its end, null if the script has to end. */
    public static function receive(): ?string
    {
        while ($record = PhpPoolConnection::receive()) {
            if ($record[0] === PhpPoolConnection::STDIN && $record[1] === PhpPoolConnection::$id) {
                return $record[2];
            }
        }
        return null;
    }

    /** Receives what is left of the body. */
    private static function skip(): bool
    {
        if (PhpPoolMultipart::$atEnd) {
            return true;
        }
        while (($part = self::receive()) !== '') {
            if ($part === null) {
                return false;
            }
        }
        return true;
    }

    /** Frees what belongs to the request. */
    public static function free(): void
    {
        if (self::$replaced) {
            stream_wrapper_restore('php');
            self::$replaced = false;
        }
        self::$input = '';
        self::$file = null;
        if (self::$uploads !== []) {
            foreach (self::$uploads as $path => $true) {
                @unlink($path);
            }
            self::$uploads = [];
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

    /** request_parse_body() of PHP 8.4, which parses a body with any method. */
    public static function parseAgain(): array
    {
        $type = $_SERVER['CONTENT_TYPE'] ?? '';
        $input = self::$input ?? stream_get_contents(self::$file, -1, 0);
        switch (strtolower(substr($type, 0, strcspn($type, ';, ')))) {
            case 'application/x-www-form-urlencoded':
                return [PhpPoolVariables::parse($input), []];
            case 'multipart/form-data':
                $parts = [$input, ''];
                $form = new PhpPoolMultipart((string) PhpPoolMultipart::boundary($type), static function () use (&$parts) {
                    return array_shift($parts);
                });
                return $form->parse();
            default:
                $class = 'RequestParseBodyException';
                throw new $class($type === '' ? 'Request does not provide a content type' : "Content-Type \"$type\" is not supported");
        }
    }
}
