<?php
// Does what applications do, and shows what failed.
$failed = [];
$must = function (string $what, $result) use (&$failed) {
    if (!$result) {
        $failed[] = $what . ': ' . (error_get_last()['message'] ?? '');
        error_clear_last();
    }
};
$temp = tempnam(sys_get_temp_dir(), 'x');
$must('writes a temporary file', $temp !== false && file_put_contents($temp, 'x') === 1);
$must('moves it to the site', @rename($temp, __DIR__ . '/moved-here'));
$must('truncates it', @file_put_contents(__DIR__ . '/moved-here', '') === 0);
$must('links it', @link(__DIR__ . '/moved-here', __DIR__ . '/linked-here'));
$must('makes a directory', @mkdir(__DIR__ . '/made') && @symlink('made', __DIR__ . '/a-link'));
$must('moves a directory', @rename(__DIR__ . '/made', sys_get_temp_dir() . '/made-' . getmypid()) && @rmdir(sys_get_temp_dir() . '/made-' . getmypid()));
foreach (['moved-here', 'linked-here', 'a-link'] as $name) {
    $must("removes $name", @unlink(__DIR__ . "/$name"));
}
$must('starts a program', trim((string) shell_exec('echo ok')) === 'ok');
$must('resolves a name', gethostbyname('localhost') === '127.0.0.1');
$must('reads /etc/passwd', @file_get_contents('/etc/passwd') != '');
$must('reads /dev/urandom', @file_get_contents('/dev/urandom', false, null, 0, 4) != '');
$must('sees its own process', @file_get_contents('/proc/self/status') != '');
$must('signals itself', posix_kill(getmypid(), 0));
$must('starts a session', session_start() && session_destroy());
$must('listens', ($server = stream_socket_server('tcp://127.0.0.1:0')) !== false);
$must('connects', $server && stream_socket_client('tcp://' . stream_socket_get_name($server, false)) !== false);
$must('has its preloaded function', function_exists('preloaded') && preloaded() === 'preloaded');
$must('has the JIT', opcache_get_status()['jit']['on'] ?? false);
$must('has no new privileges', preg_match('/^NoNewPrivs:\s+1$/m', file_get_contents('/proc/self/status')));
header('Content-Type: application/json');
echo json_encode($failed);
