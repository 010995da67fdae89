<?php
function stopped()
{
    clearstatcache();
    return file_exists($_GET['dir'] . '/stop');
}

function way_usleep()
{
    while (!stopped()) {
        usleep(20000); // usleep
    }
}

function way_preg_match_all()
{
    ini_set('pcre.jit', '0');
    ini_set('pcre.backtrack_limit', '1000000');
    while (!stopped()) {
        preg_match_all('/^(a+)+$/', str_repeat('a', 40) . 'b'); // preg_match_all
    }
}

function way_tcp()
{
    fgets(stream_socket_client('tcp://' . $_GET['address'])); // tcp
}

function way_unix()
{
    fgets(stream_socket_client('unix://' . $_GET['address'])); // unix
}

function way_flock()
{
    flock(fopen($_GET['address'], 'r'), LOCK_EX); // flock
}

function way_proc_close()
{
    proc_close(proc_open('read line < ' . $_GET['address'], [], $pipes)); // proc_close
}

function way_fopen()
{
    fgets(fopen($_GET['address'], 'r')); // fopen
}

function way_include()
{
    include __DIR__ . '/backtrace_leaf.php'; // include
}

function way_exec()
{
    pcntl_exec($_GET['address'], ['60']);
}

function way_eval()
{
    eval("\n\nway_usleep();"); // eval
}

function way_magic()
{
    $o = new class {
        public function __call($name, $arguments)
        {
            way_usleep(); // magic
        }
    };
    $o->anything(); // trampoline
}

function way_recurse($depth)
{
    if (++$depth < 10000) {
        way_recurse($depth); // recurse
    } else {
        way_usleep(); // bottom
    }
}

function way_catch()
{
    try {
        throw new Exception();
    } catch (Exception $e) {
        way_usleep(); // catch
    } finally {
        $e = null;
    }
}

// Calls begin and end as fast as possible.
function way_spin()
{
    do {
        for ($i = 0; $i < 10000; $i++) {
            left($i);
            right($i);
        }
    } while (!stopped());
}

function left($i)
{
    return strlen((string) $i) + right($i);
}

function right($i)
{
    return ((new Pair($i))->sum($i) + strrev("$i")) % 7;
}

class Pair
{
    private $n;

    public function __construct($n)
    {
        $this->n = $n;
    }

    public function sum($i)
    {
        return $this->n > 5000 ? max($i, $this->n) : self::other($i);
    }

    private static function other($i)
    {
        return array_sum(array_map(function ($x) use ($i) {
            return $x + $i;
        }, [1, 2]));
    }
}
