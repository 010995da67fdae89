<?php
// Prints everything that a script can see of its request, by group and name.

// A string that is not UTF-8 is printed in hexadecimal.
function printable($value)
{
    if (is_array($value)) {
        $list = [];
        foreach ($value as $name => $item) {
            $list[is_string($name) ? printable($name) : $name] = printable($item);
        }
        return $list;
    }
    if (!is_string($value) || preg_match('//u', $value)) {
        return $value;
    }
    return 'hex ' . bin2hex($value);
}

$variables = $_SERVER;
unset($variables['REQUEST_TIME'], $variables['REQUEST_TIME_FLOAT']);
if (isset($variables['REMOTE_PORT'])) {
    $variables['REMOTE_PORT'] = is_numeric($variables['REMOTE_PORT']) ? 'a port' : $variables['REMOTE_PORT'];
}

$files = [];
foreach ($_FILES as $field => $file) {
    $content = is_string($file['tmp_name']) && is_file($file['tmp_name']) ? hash_file('sha256', $file['tmp_name']) : '';
    unset($file['tmp_name']);
    $files[$field] = $file + ['content' => $content];
}

$body = file_get_contents('php://input');
$headers = getallheaders();
ksort($headers);

header('Content-Type: application/json');
header('X-Seen: 1');
echo json_encode(printable([
    'var' => $variables,
    'get' => ['all' => $_GET],
    'post' => ['all' => $_POST],
    'files' => ['all' => $files],
    'cookie' => ['all' => $_COOKIE],
    'request' => ['all' => $_REQUEST],
    'headers' => $headers,
    'input' => ['length' => strlen($body), 'content' => strlen($body) > 1000 ? hash('sha256', $body) : $body],
    'php' => [
        'script' => get_included_files()[0],
        'directory' => getcwd(),
        'sapi' => PHP_SAPI,
        'arguments' => isset($argv) ? $argv : null,
        'getenv REQUEST_METHOD' => getenv('REQUEST_METHOD'),
        'getenv has the request' => array_key_exists('REQUEST_METHOD', getenv()),
        'getenv PATH' => getenv('PATH'),
        'functions' => array_map('function_exists', ['fastcgi_finish_request', 'headers_send', 'apache_response_headers', 'fpm_get_status']),
        'user' => function_exists('posix_geteuid') ? posix_geteuid() : null,
        'settings' => [ini_get('display_errors'), ini_get('post_max_size'), ini_get('output_buffering'), ini_get('max_execution_time'),
            ini_get('implicit_flush'), ini_get('default_charset'), ini_get('doc_root'), ini_get('user_dir'), ini_get('html_errors')],
        'stdin' => defined('STDIN'),
    ],
]), JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
