<?php
// Tries to change an ini setting.
$name = $_GET['name'];
$given = ini_get($name);
$set = @ini_set($name, $_GET['to']);
ini_restore($name);
echo json_encode(['given' => $given, 'set' => $set, 'now' => ini_get($name)]);
