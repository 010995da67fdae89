<?php
// Makes calls of several kinds, and in the innermost one runs ?way= until the file
// stop is in ?dir=.
namespace Site;

require __DIR__ . '/backtrace_ways.php';

class Page
{
    public function show(callable $rest)
    {
        return $rest(); // show
    }

    public static function open(callable $rest)
    {
        return (new self())->show($rest); // open
    }
}

function rows(callable $rest)
{
    yield 1;
    yield $rest(); // rows
}

function all(callable $rest)
{
    foreach (rows($rest) as $row) { // all
        $last = $row;
    }
    return $last;
}

set_time_limit(0);
$way = 'way_' . $_GET['way'];
file_put_contents($_GET['dir'] . '/pid', (string) getmypid());
$rest = function () use ($way) {
    return all(fn () => array_map($way, [1])); // closure
};
Page::open($rest); // main
echo 'done';
