<?php

// Composer is not needed: Debian's packages have all classes below one directory.
require_once __DIR__ . '/../../usr/share/php/Symfony/Contracts/Deprecation/function.php';
spl_autoload_register(static function (string $class): void {
    $file = strtr($class, '\\', '/') . '.php';
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/../src/' . substr($file, 4);
    } elseif (is_file($path = __DIR__ . '/../../usr/share/php/' . $file)) {
        require $path;
    }
});
