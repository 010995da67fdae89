<?php

// The front controller of both: of an ordinary pool, and of worker mode. Slim gets its
// requests as objects of nyholm/psr7.

use Nyholm\Psr7\Factory\Psr17Factory;
use Psr\Http\Message\ServerRequestInterface;

require __DIR__ . '/../vendor/autoload.php';

$factory = new Psr17Factory();
$app = new Slim\App(['settings' => ['displayErrorDetails' => false, 'addContentLengthHeader' => false]]);
$app->get('/', function ($request, $response) {
    $response->getBody()->write('Hello ' . ($request->getQueryParams()['name'] ?? 'you'));
    return $response->withHeader('X-Slim', 'yes');
});
$app->map(['GET', 'POST', 'PUT'], '/echo/{id}', function ($request, $response, $args) {
    $files = array_map(static fn ($file) => [$file->getClientFilename(), strlen((string) $file->getStream())], $request->getUploadedFiles());
    $response->getBody()->write(json_encode([$args['id'], $request->getMethod(), $request->getQueryParams(), $request->getParsedBody(),
        $request->getCookieParams(), $files, (string) $request->getBody()]));
    return $response->withHeader('Content-Type', 'application/json')->withStatus(201)
        ->withAddedHeader('Set-Cookie', 'a=' . $args['id'])->withAddedHeader('Set-Cookie', 'b=' . $args['id']);
});
$app->get('/boom', function () {
    throw new RuntimeException('boom');
});

$handler = static function () use ($app, $factory): void {
    $uri = 'http://' . $_SERVER['HTTP_HOST'] . $_SERVER['REQUEST_URI'];
    $request = $factory->createServerRequest($_SERVER['REQUEST_METHOD'], $uri, $_SERVER)
        ->withQueryParams($_GET)->withParsedBody($_POST ?: null)->withCookieParams($_COOKIE)
        ->withBody($factory->createStreamFromFile('php://input'));
    $files = [];
    foreach ($_FILES as $name => $f) {
        $files[$name] = $factory->createUploadedFile($factory->createStreamFromFile($f['tmp_name']), $f['size'], $f['error'], $f['name'], $f['type']);
    }
    $response = $app->process($request->withUploadedFiles($files), $factory->createResponse());
    http_response_code($response->getStatusCode());
    foreach ($response->getHeaders() as $name => $values) {
        foreach ($values as $value) {
            header("$name: $value", false);
        }
    }
    echo $response->getBody();
};
if (!function_exists('frankenphp_handle_request')) {
    $handler();
    return;
}
while (frankenphp_handle_request($handler)) {
    gc_collect_cycles();
}
