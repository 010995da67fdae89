<?php
header('Content-Type: application/json');
$status = opcache_get_status();
$script = $status['scripts'][__FILE__] ?? [];
usleep(20000); // so that concurrent requests need different workers
echo json_encode(['pid' => getmypid(), 'hits' => $script['hits'] ?? 0, 'start' => $status['opcache_statistics']['start_time']]);
