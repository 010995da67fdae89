<?php
header('Content-Type: application/json');
$status = opcache_get_status();
$script = $status['scripts'][__FILE__] ?? [];
usleep(20000); // so that requests at the same time need workers of their own
echo json_encode(['pid' => getmypid(), 'hits' => $script['hits'] ?? 0, 'start' => $status['opcache_statistics']['start_time']]);
