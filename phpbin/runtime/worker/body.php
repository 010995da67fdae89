<?php
/*
 * The body of a request to a worker script: $_POST, $_FILES and php://input.
 */

final class PhpPoolBody
{
    /** The request has STDIN records that have not been received. */
    public static bool $pending = false;

    /** php://input of the request. */
    public static string $input = '';

    /** php:// is PhpPoolStream. */
    private static bool $replaced = false;

    /** Receives the body. Returns false if the script has to end. */
    public static function read(): bool
    {
        self::$pending = false;
        $body = '';
        while (true) {
            $content = self::receive();
            if ($content === null) {
                return false;
            }
            if ($content === '') {
                break;
            }
            $body .= $content;
        }
        if ($body === '') {
            return true;
        }
        if ($_SERVER['REQUEST_METHOD'] === 'POST') {
            $type = $_SERVER['CONTENT_TYPE'] ?? '';
            if (strncasecmp($type, 'application/x-www-form-urlencoded', 33) === 0) {
                parse_str($body, $_POST);
            }
        }
        self::$input = $body;
        stream_wrapper_unregister('php');
        stream_wrapper_register('php', PhpPoolStream::class);
        self::$replaced = true;
        return true;
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

    /** Frees what belongs to the request. */
    public static function free(): void
    {
        if (self::$replaced) {
            stream_wrapper_restore('php');
            self::$replaced = false;
            self::$input = '';
        }
    }
}

/**
 * php:// while a request with a body runs: php://input is the body, everything else is
 * PHP's own.
 */
final class PhpPoolStream
{
    /** @var resource */
    public $context;
    /** @var resource of PHP's own; null for php://input */
    private $stream;
    private int $at = 0;

    public function stream_open(string $path, string $mode, int $options, ?string &$opened): bool
    {
        if (strcasecmp($path, 'php://input') === 0) {
            return true;
        }
        stream_wrapper_restore('php');
        $this->stream = is_resource($this->context) ? fopen($path, $mode, false, $this->context) : fopen($path, $mode);
        stream_wrapper_unregister('php');
        stream_wrapper_register('php', self::class);
        return (bool) $this->stream;
    }

    public function stream_read(int $count): string|false
    {
        if ($this->stream) {
            return fread($this->stream, $count);
        }
        $part = substr(PhpPoolBody::$input, $this->at, $count);
        $this->at += strlen($part);
        return $part;
    }

    public function stream_write(string $data): int
    {
        return $this->stream ? (int) fwrite($this->stream, $data) : 0;
    }

    public function stream_eof(): bool
    {
        return $this->stream ? feof($this->stream) : $this->at >= strlen(PhpPoolBody::$input);
    }

    public function stream_tell(): int
    {
        return $this->stream ? (int) ftell($this->stream) : $this->at;
    }

    public function stream_seek(int $offset, int $whence): bool
    {
        if ($this->stream) {
            return fseek($this->stream, $offset, $whence) === 0;
        }
        $length = strlen(PhpPoolBody::$input);
        $to = $offset + [SEEK_SET => 0, SEEK_CUR => $this->at, SEEK_END => $length][$whence];
        if ($to < 0 || $to > $length) {
            return false;
        }
        $this->at = $to;
        return true;
    }

    public function stream_stat(): array|false
    {
        return $this->stream ? fstat($this->stream) : ['mode' => 0100444, 'size' => strlen(PhpPoolBody::$input)];
    }

    public function stream_flush(): bool
    {
        return !$this->stream || fflush($this->stream);
    }

    public function stream_truncate(int $size): bool
    {
        return $this->stream && ftruncate($this->stream, $size);
    }

    public function stream_lock(int $operation): bool
    {
        return $this->stream && flock($this->stream, $operation);
    }

    public function stream_set_option(int $option, int $arg1, ?int $arg2): bool
    {
        return false;
    }

    /** @return resource|false */
    public function stream_cast(int $as)
    {
        return $this->stream ?: false;
    }

    public function stream_close(): void
    {
        if ($this->stream) {
            fclose($this->stream);
        }
    }
}
