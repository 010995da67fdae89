<?php
/*
 * The functions of FrankenPHP, and functions of PHP that do not work in a worker script
 * as they are: these are in disable_functions, and since PHP 8.0 such a function can be
 * defined again. A function that the user has disabled is left out.
 *
 * Their parameters have PHP's names, for named arguments.
 */

const FRANKENPHP_LOG_LEVEL_DEBUG = -4;
const FRANKENPHP_LOG_LEVEL_INFO = 0;
const FRANKENPHP_LOG_LEVEL_WARN = 4;
const FRANKENPHP_LOG_LEVEL_ERROR = 8;

function frankenphp_handle_request(callable $callback): bool
{
    return PhpPoolWorker::handle($callback);
}

function frankenphp_finish_request(): bool
{
    PhpPoolOutput::endBuffers();
    return PhpPoolOutput::finish();
}

function fastcgi_finish_request(): bool
{
    PhpPoolOutput::endBuffers();
    return PhpPoolOutput::finish();
}

function frankenphp_request_headers(): array
{
    return PhpPoolRequest::headers();
}

function frankenphp_response_headers(): array|bool
{
    return apache_response_headers();
}

function frankenphp_log(string $message, int $level = FRANKENPHP_LOG_LEVEL_INFO, array $context = []): void
{
    PhpPoolError::log($message, $level, $context);
}

function headers_send(int $status = 200): int
{
    return PhpPoolOutput::sendHead($status);
}

function flush(): void
{
    PhpPoolOutput::flush();
}

function ob_get_level(): int
{
    return count(ob_list_handlers()) - 1;
}

function ob_implicit_flush(bool $enable = true): void
{
    PhpPoolOutput::$implicitFlush = $enable;
}

function headers_sent(&$filename = null, &$line = null): bool
{
    $filename = '';
    $line = 0;
    return PhpPoolOutput::$headSent;
}

function header_register_callback(callable $callback): bool
{
    if (!PhpPoolOutput::$headSent) {
        PhpPoolOutput::$headCallback = $callback;
    }
    return true;
}

function connection_aborted(): int
{
    return (int) PhpPoolConnection::aborted();
}

function connection_status(): int
{
    return (int) PhpPoolConnection::aborted();
}

function getallheaders(): array
{
    return PhpPoolRequest::headers();
}

function apache_request_headers(): array
{
    return PhpPoolRequest::headers();
}

function is_uploaded_file(string $filename): bool
{
    return isset(PhpPoolBody::$uploads[$filename]);
}

function move_uploaded_file(string $from, string $to): bool
{
    return PhpPoolBody::move($from, $to);
}

function filter_has_var(int $input_type, string $var_name): bool
{
    return array_key_exists($var_name, PhpPoolRequest::input($input_type, __FUNCTION__));
}

function filter_input(int $type, string $var_name, int $filter = FILTER_DEFAULT, array|int $options = 0): mixed
{
    $input = PhpPoolRequest::input($type, __FUNCTION__);
    if (array_key_exists($var_name, $input)) {
        return filter_var($input[$var_name], $filter, $options);
    }
    if (is_array($options) && isset($options['options']['default'])) {
        return $options['options']['default'];
    }
    $flags = is_array($options) ? $options['flags'] ?? 0 : $options;
    return $flags & FILTER_NULL_ON_FAILURE ? false : null;
}

function filter_input_array(int $type, array|int $options = FILTER_DEFAULT, bool $add_empty = true): array|false|null
{
    $input = PhpPoolRequest::input($type, __FUNCTION__);
    if ($input !== []) {
        return filter_var_array($input, $options, $add_empty);
    }
    $flags = is_array($options) ? $options['flags'] ?? 0 : $options;
    return $flags & FILTER_NULL_ON_FAILURE ? false : null;
}

if (PHP_VERSION_ID >= 80400) {
    function request_parse_body(?array $options = null): array
    {
        return PhpPoolBody::parseAgain($options ?? []);
    }
}

if (extension_loaded('session')) {
    function session_name(?string $name = null): string|false
    {
        return PhpPoolSession::name($name);
    }
}

if (extension_loaded('Zend OPcache')) {
    function opcache_reset(): bool
    {
        return PhpPoolWorker::resetOPcache();
    }
}
