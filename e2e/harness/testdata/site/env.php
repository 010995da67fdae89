<?php
header('Content-Type: application/json');
echo json_encode(getenv(), JSON_FORCE_OBJECT | JSON_INVALID_UTF8_SUBSTITUTE);
