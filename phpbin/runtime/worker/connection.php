<?php
/*
 * The connection of a worker script to php_pool, on which it is a FastCGI responder
 * (FastCGI 1.0; package fastcgi is the other side, worker.go there has the records that
 * are not part of the protocol).
 */

final class PhpPoolConnection
{
    const BEGIN_REQUEST = 1;
    const ABORT_REQUEST = 2;
    const END_REQUEST = 3;
    const PARAMS = 4;
    const STDIN = 5;
    const STDOUT = 6;
    const STDERR = 7;
    const GET_VALUES = 9;
    const GET_VALUES_RESULT = 10;
    const HELLO = 100;
    const READY = 101;
    const STOP = 102;
    const STORED = 103;

    /** The largest content of a record that is a multiple of 8, as php-cgi sends it. */
    const MAX_CONTENT = 65528;

    /** The id of the current request, which every record of the response has. */
    private static int $id = 0;
    private static string $idBytes = "\0\0"; // in a record

    /** Nothing can be sent or received any more. */
    public static bool $lost = false;

    /** @var resource */
    private static $socket;

    /** The process that has opened the connection, and not a copy of it (pcntl_fork). */
    private static int $pid = 0;

    /** What was received and not decoded yet. */
    private static string $in = '';

    /** What has not been received of a record of the body, in bytes. */
    private static int $left = 0;

    public static function open(string $address, string $nonce): void
    {
        $socket = @stream_socket_client($address, $errno, $error, 5);
        if (!$socket) {
            error_log("php_pool: the worker script cannot connect to $address: $error");
            exit(1);
        }
        stream_set_timeout($socket, -1); // no limit
        stream_set_read_buffer($socket, 0);
        stream_set_write_buffer($socket, 0);
        stream_set_chunk_size($socket, 65536);
        self::$socket = $socket;
        self::$pid = getmypid();
        self::send(pack('CCnnCxa*', 1, self::HELLO, 0, strlen($nonce), 0, $nonce));
    }

    /** Reports whether this process is a copy that the script has made of itself. */
    public static function copied(): bool
    {
        return getmypid() !== self::$pid;
    }

    public static function send(string $data): void
    {
        if (getmypid() === self::$pid) {
            self::write($data);
        }
    }

    /** Sends $data. The caller knows that this process is not a copy. */
    private static function write(string $data): void
    {
        while (!self::$lost) {
            $n = @fwrite(self::$socket, $data);
            if ($n === strlen($data)) {
                return;
            }
            if (!$n) {
                self::$lost = true;
                return;
            }
            $data = substr($data, $n);
        }
    }

    /** Sends content of a stream of the current request. */
    public static function sendStream(int $type, string $content): void
    {
        self::send(self::records($type, $content));
    }

    /** Returns content as records; '' if it is empty. */
    public static function records(int $type, string $content): string
    {
        $length = strlen($content);
        if ($length <= 65535) { // without pack(), which takes five times as long
            return $length === 0 ? '' : "\x01" . chr($type) . self::$idBytes . chr($length >> 8) . chr($length & 255) . "\0\0" . $content;
        }
        $records = '';
        for ($at = 0; $at < $length; $at += self::MAX_CONTENT) {
            $part = substr($content, $at, self::MAX_CONTENT);
            $records .= pack('CCnnx2', 1, $type, self::$id, strlen($part)) . $part;
        }
        return $records;
    }

    /** Returns the END_REQUEST of the current request. */
    public static function endRecord(): string
    {
        return "\x01\x03" . self::$idBytes . "\0\x08\0\0\0\0\0\0\0\0\0\0";
    }

    /** Says that the script waits for a request. This process must not be a copy. */
    public static function sendReady(): void
    {
        self::write("\x01\x65\0\0\0\0\0\0");
    }

    /**
     * Waits for the next record and returns [type, id, content]; null if the connection
     * has ended. Health checks are answered here.
     */
    public static function receive(): ?array
    {
        while (true) {
            if (strlen(self::$in) < 8 && !self::fill(8)) {
                return null;
            }
            ['t' => $type, 'i' => $id, 'n' => $length, 'p' => $padding] = unpack('x/Ct/ni/nn/Cp', self::$in);
            $size = 8 + $length + $padding;
            if (strlen(self::$in) < $size && !self::fill($size)) {
                return null;
            }
            $content = $length === 0 ? '' : substr(self::$in, 8, $length);
            self::$in = strlen(self::$in) === $size ? '' : substr(self::$in, $size);
            if ($type !== self::GET_VALUES) {
                return [$type, $id, $content];
            }
            self::send(pack('CCnnx2', 1, self::GET_VALUES_RESULT, 0, 0));
        }
    }

    /**
     * Waits for something to arrive. If that is a whole request without a body, it is
     * taken, and its encoded parameters are returned; otherwise null. It saves the time of
     * four calls of receive().
     */
    public static function receiveShortRequest(): ?string
    {
        if (strlen(self::$in) < 8 && !self::fill(8)) {
            return null;
        }
        $in = self::$in;
        if ($in[1] !== "\x01" || strlen($in) < 48) {
            return null;
        }
        // BEGIN_REQUEST, PARAMS, the end of PARAMS, the end of STDIN, without padding.
        $id = substr($in, 2, 2);
        $length = ord($in[20]) << 8 | ord($in[21]);
        if (strlen($in) !== 40 + $length || substr($in, 4, 4) !== "\0\x08\0\0" || substr($in, 16, 4) !== "\x01\x04$id" || $in[22] !== "\0"
            || substr($in, 24 + $length) !== "\x01\x04$id\0\0\0\0\x01\x05$id\0\0\0\0") {
            return null;
        }
        self::$in = '';
        self::begin($id);
        return substr($in, 24, $length);
    }

    /** Makes the id, as it is in a record, that of the current request. */
    public static function begin(string $id): void
    {
        self::$idBytes = $id;
        self::$id = ord($id[0]) << 8 | ord($id[1]);
    }

    /**
     * Reports whether the body of the current request, which has one, is in the file of
     * php://input, and is not received.
     */
    public static function receiveStored(): bool
    {
        if (strlen(self::$in) < 8 && !self::fill(8, 8) || self::$in[1] !== "\x67") {
            return false;
        }
        self::$in = substr(self::$in, 8);
        return true;
    }

    /**
     * Waits for the body of the current request and returns the next part of it, '' at its
     * end, null if the connection has ended. Nothing is copied but what has arrived along
     * with the parameters.
     */
    public static function receiveBody(): ?string
    {
        while (self::$left === 0) {
            if (strlen(self::$in) < 8 && !self::fill(8, 8)) {
                return null;
            }
            ['t' => $type, 'i' => $id, 'n' => $length, 'p' => $padding] = unpack('x/Ct/ni/nn/Cp', self::$in);
            if ($type !== self::STDIN || $id !== self::$id || $length === 0 || $padding > 0) {
                $record = self::receive();
                if ($record === null || $record[0] === self::STDIN && $record[1] === self::$id) {
                    return $record[2] ?? null;
                }
                continue;
            }
            self::$in = strlen(self::$in) === 8 ? '' : substr(self::$in, 8);
            self::$left = $length;
        }
        if (self::$in !== '') {
            $part = substr(self::$in, 0, self::$left);
            self::$in = substr(self::$in, strlen($part));
        } elseif (($part = self::read(self::$left)) === null) {
            return null;
        }
        self::$left -= strlen($part);
        return $part;
    }

    /** Reports whether ABORT_REQUEST for the current request has arrived. */
    public static function aborted(): bool
    {
        $read = [self::$socket];
        $none = null;
        while (!self::$lost && @stream_select($read, $none, $none, 0) === 1) {
            $data = fread(self::$socket, 65536);
            if ($data === '' || $data === false) {
                self::$lost = true;
                break;
            }
            self::$in .= $data;
            $read = [self::$socket];
        }
        // Only short records can be there: the next request is not sent before this one
        // has ended.
        return self::$lost || strpos(self::$in, pack('CCnx4', 1, self::ABORT_REQUEST, self::$id)) !== false;
    }

    /** Reads until there are $size bytes in the buffer, but at most $most bytes at a time. */
    private static function fill(int $size, int $most = 65536): bool
    {
        while (strlen(self::$in) < $size) {
            $data = self::read($most === $size ? $size - strlen(self::$in) : $most);
            if ($data === null) {
                return false;
            }
            if (self::$in === '') {
                self::$in = $data;
            } else {
                self::$in .= $data;
            }
        }
        return true;
    }

    /** Waits for up to $most bytes; null if the connection has ended. */
    private static function read(int $most): ?string
    {
        while (!self::$lost) {
            $data = fread(self::$socket, $most);
            if ($data !== '' && $data !== false) {
                return $data;
            }
            // Otherwise a signal has interrupted it.
            self::$lost = feof(self::$socket);
        }
        return null;
    }
}
