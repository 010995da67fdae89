<?php
/*
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
        if (PhpPoolBody::$input !== null) {
            $part = substr(PhpPoolBody::$input, $this->at, $count);
        } else {
            fseek(PhpPoolBody::$file, $this->at);
            $part = (string) fread(PhpPoolBody::$file, $count);
        }
        $this->at += strlen($part);
        return $part;
    }

    private function inputSize(): int
    {
        return PhpPoolBody::$input !== null ? strlen(PhpPoolBody::$input) : fstat(PhpPoolBody::$file)['size'];
    }

    public function stream_write(string $data): int
    {
        return $this->stream ? (int) fwrite($this->stream, $data) : 0;
    }

    public function stream_eof(): bool
    {
        return $this->stream ? feof($this->stream) : $this->at >= $this->inputSize();
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
        $size = $this->inputSize();
        $to = $offset + [SEEK_SET => 0, SEEK_CUR => $this->at, SEEK_END => $size][$whence];
        if ($to < 0 || $to > $size) {
            return false;
        }
        $this->at = $to;
        return true;
    }

    public function stream_stat(): array|false
    {
        return $this->stream ? fstat($this->stream) : ['mode' => 0100444, 'size' => $this->inputSize()];
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
