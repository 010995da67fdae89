<?php

// Composer is not needed: Debian's packages have all classes below one directory.
spl_autoload_register(static function (string $class): void {
    if (is_file($path = __DIR__ . '/../../usr/share/php/' . strtr($class, '\\', '/') . '.php')) {
        require $path;
    }
});
require_once __DIR__ . '/../../usr/share/php/FastRoute/functions.php';
