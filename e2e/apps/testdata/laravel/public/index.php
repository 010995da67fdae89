<?php

// The front controller of both: of an ordinary pool, and of worker mode, with a loop of
// the shape of Octane's for FrankenPHP: each request gets a clone of the application.

use Illuminate\Container\Container;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Facade;

require __DIR__ . '/../vendor/autoload.php';

$app = require __DIR__ . '/../bootstrap/app.php';
if (!($_SERVER['FRANKENPHP_WORKER'] ?? false)) {
    $kernel = $app->make(Kernel::class);
    $response = $kernel->handle($request = Request::capture())->send();
    $kernel->terminate($request, $response);
    return;
}
ignore_user_abort(true);
$app->instance('request', Request::create('http://localhost'));
$app->make(Kernel::class)->bootstrap();
foreach (['config', 'db', 'encrypter', 'files', 'hash', 'log', 'router', 'translator', 'view'] as $service) {
    $app->make($service);
}
$handled = 0;
do {
    $finish = null;
    $running = frankenphp_handle_request(static function () use ($app, &$finish): void {
        $sandbox = clone $app;
        Container::setInstance($sandbox);
        $sandbox->instance('app', $sandbox);
        $sandbox->instance(Container::class, $sandbox);
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication($sandbox);
        $sandbox->instance('config', clone $sandbox['config']);
        $sandbox['router']->setContainer($sandbox);
        $sandbox['view']->setContainer($sandbox);
        $sandbox->forgetInstance('session');
        $sandbox->forgetInstance('session.store');
        $sandbox->forgetInstance('cookie');
        $sandbox->forgetInstance('auth');
        $sandbox->forgetInstance(Illuminate\Session\Middleware\StartSession::class);
        $kernel = $sandbox->make(Kernel::class);
        (function () use ($sandbox) { $this->app = $sandbox; })->call($kernel);
        $request = Request::capture();
        $response = $kernel->handle($request);
        $response->send();
        $finish = static function () use ($kernel, $request, $response, $sandbox) {
            $kernel->terminate($request, $response);
            $sandbox->flush();
        };
    });
    if ($finish) {
        $finish();
    }
    Container::setInstance($app);
    gc_collect_cycles();
} while ($running && ++$handled < ($_SERVER['MAX_REQUESTS'] ?? 1000));
