<?php
header('Content-Type: application/json');
echo json_encode(['line' => $_SERVER['HTTP_COOKIE'] ?? '', 'cookies' => $_COOKIE]);
