<?php
/*
 * Forms of the type multipart/form-data, parsed while they arrive by the rules of PHP
 * (main/rfc1867.c), also where those differ from RFC 7578.
 */

final class PhpPoolMultipart
{
    /** The whole body has been received. */
    public static bool $atEnd = false;

    /** The class of what is thrown instead of a warning; '' for a warning. */
    public static string $exception = '';

    private string $boundary;

    /** @var callable that returns the next part of the body; '' or null at its end */
    private $receive;

    /** What was received and not parsed yet, from $at. */
    private string $buffer = '';
    private int $at = 0;

    private array $fields = [];
    private array $files = [];

    private int $fieldCount = 0;
    private int $maxFields;
    private int $maxParts;
    private int $filesLeft;
    private bool $filesExceeded = false;
    private bool $takesFiles;
    private int $maxFileSize;
    private int $formMaxFileSize = 0;
    private int $unnamed = 0;

    /** Each of $limits is used instead of the setting with its name. */
    public function __construct(string $boundary, callable $receive, array $limits = [])
    {
        $this->boundary = '--' . $boundary;
        $this->receive = $receive;
        $this->maxFields = $limits['max_input_vars'] ?? (int) ini_get('max_input_vars');
        $this->filesLeft = $limits['max_file_uploads'] ?? (int) ini_get('max_file_uploads');
        $this->takesFiles = (bool) ini_get('file_uploads');
        $this->maxFileSize = $limits['upload_max_filesize'] ?? PhpPoolIni::bytes('upload_max_filesize');
        $parts = $limits['max_multipart_body_parts'] ?? (int) (ini_get('max_multipart_body_parts') ?: -1);
        $this->maxParts = $parts < 0 ? $this->maxFields + $this->filesLeft : $parts;
        self::$atEnd = false;
    }

    /** Returns [$_POST, $_FILES]. */
    public function parse(): array
    {
        for ($left = $this->maxParts; ($header = $this->header()) !== null;) {
            if (!isset($header['content-disposition'])) {
                continue;
            }
            if (--$left < 0) {
                self::warn("Multipart body parts limit exceeded $this->maxParts. "
                    . 'To increase the limit change max_multipart_body_parts in php.ini.', true);
                break;
            }
            if (!$this->part($header)) {
                break;
            }
        }
        return [$this->fields, $this->files];
    }

    /** Returns the boundary that a Content-Type has; null if it is invalid. */
    public static function boundary(string $contentType): ?string
    {
        $at = stripos($contentType, 'boundary');
        $at = $at === false ? false : strpos($contentType, '=', $at);
        if ($at === false) {
            self::warn('Missing boundary in multipart/form-data POST data');
            return null;
        }
        $boundary = (string) substr($contentType, $at + 1);
        if (($boundary[0] ?? '') === '"') {
            $end = strpos($boundary, '"', 1);
            if ($end === false) {
                self::warn('Invalid boundary in multipart/form-data POST data');
                return null;
            }
            return substr($boundary, 1, $end - 1);
        }
        return substr($boundary, 0, strcspn($boundary, ',;'));
    }

    /** Warns with the name of the phase, which for most texts PHP does since 8.4. */
    private static function warn(string $text, bool $named = PHP_VERSION_ID >= 80400): void
    {
        if (self::$exception !== '') {
            throw new self::$exception($text);
        }
        PhpPoolError::warnAtStartup(($named ? 'PHP Request Startup: ' : '') . $text);
    }

    /** Receives more of the body. Returns false at its end. */
    private function more(): bool
    {
        if (self::$atEnd) {
            return false;
        }
        $part = ($this->receive)();
        if ($part === null || $part === '') {
            self::$atEnd = true;
            return false;
        }
        $this->buffer = $this->at === strlen($this->buffer) ? $part : substr($this->buffer, $this->at) . $part;
        $this->at = 0;
        return true;
    }

    /** Returns the next line without its end; null if its end has not arrived. */
    private function line(): ?string
    {
        while (($end = strpos($this->buffer, "\n", $this->at)) === false) {
            if (!$this->more()) {
                return null;
            }
        }
        $line = substr($this->buffer, $this->at, $end - $this->at);
        $this->at = $end + 1;
        return substr($line, -1) === "\r" ? substr($line, 0, -1) : $line;
    }

    /**
     * Skips everything up to the next boundary and returns the header of the part that
     * follows it, with names in lower case; null at the end.
     */
    private function header(): ?array
    {
        do {
            $line = $this->line();
            if ($line === null) {
                return null;
            }
        } while ($line !== $this->boundary);
        $header = [];
        $name = null;
        while (($line = $this->line()) !== null && $line !== '') {
            if (!ctype_space($line[0]) && ($colon = strpos($line, ':')) !== false) {
                $name = strtolower(substr($line, 0, $colon));
                $value = ltrim(substr($line, $colon + 1), " \t\n\r\v\f");
                if (isset($header[$name])) {
                    $name = null; // the first one counts
                } else {
                    $header[$name] = $value;
                }
            } elseif ($name !== null) {
                $header[$name] .= $line;
            }
        }
        return $header;
    }

    /** Parses a part. Returns false if the rest cannot be parsed. */
    private function part(array $header): bool
    {
        [$name, $filename] = self::disposition($header['content-disposition']);
        if ($filename === null) {
            if ($name === null) {
                self::warn('File Upload Mime headers garbled');
                return false;
            }
            $this->field($name);
            return true;
        }
        if (!$this->takesFiles || $this->filesLeft <= 0) {
            if ($this->takesFiles && $this->filesLeft === 0 && !$this->filesExceeded) {
                $this->filesExceeded = true;
                self::warn('Maximum number of allowable file uploads has been exceeded');
            }
            return true;
        }
        $name ??= (string) $this->unnamed++;
        if (self::isValidName($name)) {
            $this->file($name, $filename, $header['content-type'] ?? '');
        } else {
            $this->takesFiles = false; // no other either
        }
        return true;
    }

    private function field(string $name): void
    {
        $value = '';
        $this->content(static function (string $part) use (&$value): bool {
            $value .= $part;
            return true;
        });
        if (++$this->fieldCount <= $this->maxFields) {
            PhpPoolVariables::set($this->fields, $name, $value);
        } elseif ($this->fieldCount === $this->maxFields + 1) {
            self::warn("Input variables exceeded {$this->maxFields}. To increase the limit change max_input_vars in php.ini.", true);
        }
        if (strcasecmp($name, 'MAX_FILE_SIZE') === 0) {
            $this->formMaxFileSize = (int) $value;
        }
    }

    private function file(string $name, string $filename, string $type): void
    {
        $error = UPLOAD_ERR_NO_FILE;
        $path = '';
        $size = 0;
        if ($filename !== '') {
            $this->filesLeft--;
            [$error, $path, $size] = $this->save();
        }
        $open = strpos($name, '[');
        [$before, $index] = $open === false || substr($name, -1) !== ']' ? [$name, ''] : [substr($name, 0, $open), substr($name, $open)];
        $slash = max((int) strrpos("/$filename", '/'), (int) strrpos("/$filename", '\\'));
        $values = [
            'name' => substr($filename, $slash), 'full_path' => $filename,
            'type' => $error === UPLOAD_ERR_OK ? substr($type, 0, strcspn($type, ';')) : '',
            'tmp_name' => $path, 'error' => $error, 'size' => $size,
        ];
        if (PHP_VERSION_ID < 80100) {
            unset($values['full_path']);
        }
        foreach ($values as $key => $value) {
            PhpPoolVariables::set($this->files, "{$before}[$key]$index", $value);
        }
    }

    /** Saves a file and returns [error, path, size]. */
    private function save(): array
    {
        $dir = (string) ini_get('upload_tmp_dir');
        if ($dir !== '' && !is_writable($dir)) {
            PhpPoolError::warnAtStartup("PHP Request Startup: file created in the system's temporary directory", 'Notice', E_NOTICE);
            $dir = '';
        }
        $path = tempnam($dir !== '' ? $dir : sys_get_temp_dir(), 'php');
        $file = $path === false ? false : fopen($path, 'wb');
        if (!$file) {
            self::warn('File upload error - unable to create a temporary file');
            return [UPLOAD_ERR_NO_TMP_DIR, '', 0];
        }
        $size = 0;
        $error = UPLOAD_ERR_OK;
        $whole = $this->content(function (string $part) use (&$size, &$error, $file): bool {
            $next = $size + strlen($part);
            if ($this->maxFileSize > 0 && $next > $this->maxFileSize) {
                $error = UPLOAD_ERR_INI_SIZE;
            } elseif ($this->formMaxFileSize > 0 && $next > $this->formMaxFileSize) {
                $error = UPLOAD_ERR_FORM_SIZE;
            } elseif (@fwrite($file, $part) !== strlen($part)) {
                $error = UPLOAD_ERR_CANT_WRITE;
            }
            $size = $next;
            return $error === UPLOAD_ERR_OK;
        });
        fclose($file);
        if (!$whole && $error === UPLOAD_ERR_OK) {
            $error = UPLOAD_ERR_PARTIAL;
        }
        if ($error !== UPLOAD_ERR_OK) {
            unlink($path);
            return [$error, '', 0];
        }
        PhpPoolBody::$uploads[$path] = true;
        return [UPLOAD_ERR_OK, $path, $size];
    }

    /**
     * Passes the content of a part to $take in pieces, until that returns false. Returns
     * true if the content has ended with a boundary.
     */
    private function content(callable $take): bool
    {
        $end = "\n" . $this->boundary;
        $keep = strlen($end); // that many bytes may be the beginning of the end
        while (true) {
            $at = strpos($this->buffer, $end, $this->at);
            if ($at !== false) {
                $length = $at - $this->at;
                if ($length > 0 && $this->buffer[$at - 1] === "\r") {
                    $length--;
                }
                $more = $length === 0 || $take(substr($this->buffer, $this->at, $length));
                $this->at += $length;
                return $more;
            }
            $length = strlen($this->buffer) - $this->at - $keep;
            if ($length > 0) {
                if (!$take(substr($this->buffer, $this->at, $length))) {
                    return false;
                }
                $this->at += $length;
            }
            if (!$this->more()) {
                $rest = self::withoutPart($end, (string) substr($this->buffer, $this->at));
                $this->at = strlen($this->buffer);
                if ($rest !== '') {
                    $take($rest);
                }
                return false;
            }
        }
    }

    /** Removes the beginning of a boundary at the end of the body, as PHP does. */
    private static function withoutPart(string $end, string $rest): string
    {
        for ($n = min(strlen($end), strlen($rest)); $n > 0; $n--) {
            if (substr_compare($rest, substr($end, 0, $n), -$n) === 0) {
                $rest = substr($rest, 0, -$n);
                return substr($rest, -1) === "\r" ? substr($rest, 0, -1) : $rest;
            }
        }
        return $rest;
    }

    /** Returns [name, filename] of a Content-Disposition; null for one that it does not have. */
    private static function disposition(string $value): array
    {
        $found = ['name' => null, 'filename' => null];
        while ($value !== '') {
            $pair = self::word($value, ';');
            $value = ltrim($value, " \t\n\r\v\f");
            if (strpos($pair, '=') === false) {
                continue;
            }
            $key = strtolower(self::word($pair, '='));
            if ($key === 'name' || $key === 'filename') {
                $found[$key] = self::unquote($pair);
            }
        }
        return [$found['name'], $found['filename']];
    }

    /** Cuts the text before $stop, which does not count in quotes, off $text and returns it. */
    private static function word(string &$text, string $stop): string
    {
        $end = strlen($text);
        for ($i = 0; $i < $end && $text[$i] !== $stop; $i++) {
            $quote = $text[$i];
            if ($quote !== '"' && $quote !== "'") {
                continue;
            }
            for ($i++; $i < $end && $text[$i] !== $quote; $i++) {
                if ($text[$i] === '\\' && ($text[$i + 1] ?? '') === $quote) {
                    $i++;
                }
            }
        }
        $word = substr($text, 0, $i);
        $text = ltrim(substr($text, $i), $stop);
        return $word;
    }

    /** Returns a value without its quotes. */
    private static function unquote(string $text): string
    {
        $text = ltrim($text, " \t\n\r\v\f");
        $quote = $text[0] ?? '';
        if ($quote === '"' || $quote === "'") {
            $text = substr($text, 1);
        } else {
            $quote = '';
            $text = substr($text, 0, strcspn($text, " \t\n\r\v\f"));
        }
        $result = '';
        for ($i = 0, $end = strlen($text); $i < $end && ($quote === '' || $text[$i] !== $quote); $i++) {
            $next = $text[$i + 1] ?? '';
            if ($text[$i] === '\\' && ($next === '\\' || $quote !== '' && $next === $quote)) {
                $i++;
            }
            $result .= $text[$i];
        }
        return $result;
    }

    /** Reports whether the brackets of a name are closed, and nothing but a bracket follows one. */
    private static function isValidName(string $name): bool
    {
        $open = 0;
        for ($i = 0, $end = strlen($name); $i < $end; $i++) {
            if ($name[$i] === '[') {
                $open++;
            } elseif ($name[$i] === ']' && (--$open < 0 || ($name[$i + 1] ?? '[') !== '[')) {
                return false;
            }
        }
        return $open === 0;
    }
}
