<?php

// The front controller of both: of an ordinary pool, and of worker mode, with the loop of
// php-runtime's runner for FrankenPHP.

use App\Kernel;
use Symfony\Component\HttpFoundation\Request;

require dirname(__DIR__) . '/vendor/autoload.php';

$kernel = new Kernel($_SERVER['APP_ENV'] ?? 'prod', false);
$request = $response = null;
if (!($_SERVER['FRANKENPHP_WORKER'] ?? false)) {
    $request = Request::createFromGlobals();
    $response = $kernel->handle($request);
    $response->send();
    $kernel->terminate($request, $response);
    return;
}
ignore_user_abort(true);
$server = array_filter($_SERVER, static fn (string $key) => !str_starts_with($key, 'HTTP_'), ARRAY_FILTER_USE_KEY);
$handler = static function () use ($kernel, $server, &$request, &$response): void {
    $_SERVER += $server;
    $request = Request::createFromGlobals();
    $response = $kernel->handle($request);
    $response->send();
};
$loops = 0;
do {
    $running = frankenphp_handle_request($handler);
    if ($request && $response) {
        $kernel->terminate($request, $response);
    }
    gc_collect_cycles();
} while ($running && ++$loops < ($_SERVER['FRANKENPHP_LOOP_MAX'] ?? 500));
