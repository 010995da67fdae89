<?php
$status = opcache_get_status(true);
$script = $status['scripts'][__FILE__] ?? null;
echo json_encode(['pid' => getmypid(), 'hits' => $script['hits'] ?? -1, 'scripts' => count($status['scripts'] ?? [])]);
