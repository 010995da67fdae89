<?php

// Composer is not needed: Debian's packages have all classes below one directory.
if (defined('AUTOLOADED')) {
    return;
}
define('AUTOLOADED', true);
spl_autoload_register(static function (string $class): void {
    $file = strtr($class, '\\', '/') . '.php';
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/../app/' . substr($file, 4);
    } elseif (is_file($path = __DIR__ . '/../../usr/share/php/' . $file)) {
        require $path;
    }
});
set_include_path(__DIR__ . '/../../usr/share/php');
require_once 'Illuminate/autoload.php';
require_once 'Illuminate/Foundation/helpers.php';
