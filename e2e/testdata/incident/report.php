<?php
// Runs forever: there is always another page.
function pages(int $page): int
{
    while (true) {
        $page = $page > 100 ? 1 : $page + 1;
    }
}

function report(): int
{
    return pages(1);
}

set_time_limit(0);
echo report();
