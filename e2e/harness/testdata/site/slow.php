<?php
// Waits in a method until the file named by ?file= is removed.
class Wait
{
    public static function until($file)
    {
        while (file_exists($file)) {
            clearstatcache();
            usleep(20000);
        }
    }
}

function work($file)
{
    Wait::until(__DIR__ . '/' . basename($file));
    return 'worked';
}

echo work($_GET['file']);
