<?php
spl_autoload_register(static function ($name) {
	require __DIR__ . "/classes/$name.php";
});
for ($sum = 0, $i = 1; $i <= 60; $i++) {
	$name = "C$i";
	$sum += (new $name)->n();
}
echo $sum, "\n";
