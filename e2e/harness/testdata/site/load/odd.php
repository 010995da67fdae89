<?php
// Does harm to its own process.
switch ($_GET['do']) {
    case 'kill':
        posix_kill(getmypid(), SIGKILL);
    case 'segfault':
        posix_kill(getmypid(), SIGSEGV);
    case 'exit':
        echo "half";
        exit(3);
    case 'fork':
        // The script of the child ends, but the process goes on.
        echo pcntl_fork() === 0 ? 'copy' : 'original';
        break;
    case 'close output':
        while (ob_get_level() > 0) {
            ob_end_clean();
        }
        $out = fopen('php://output', 'w');
        fwrite($out, 'before');
        fclose($out);
        echo ' after';
        break;
    case 'close sockets':
        // All descriptors but the standard ones, also the connection to Caddy.
        $c = FFI::cdef('int close(int);');
        for ($fd = 3; $fd < 100; $fd++) {
            $c->close($fd);
        }
        echo 'nobody hears this';
}
