<?php
/*
 * The functions of FrankenPHP, and functions of PHP that do not work in a worker script
 * as they are: they are in disable_functions, and since PHP 8.0 such a function can be
 * defined again.
 */

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
    return frankenphp_finish_request();
}

function flush(): void
{
    PhpPoolOutput::flush();
}

function ob_get_level(): int
{
    return count(ob_list_handlers()) - 1;
}
