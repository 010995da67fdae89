<?php
// Allocates memory, in bytes: leak=n never frees it, as a faulty extension; use=n
// frees it at the end; hog=1 allocates until memory_limit.
if (isset($_GET['leak'])) {
    $c = FFI::cdef('void *malloc(size_t); void *memset(void *, int, size_t);');
    $c->memset($c->malloc((int) $_GET['leak']), 1, (int) $_GET['leak']);
}
if (isset($_GET['use'])) {
    $used = str_repeat('x', (int) $_GET['use']);
}
while (isset($_GET['hog'])) {
    $hog[] = str_repeat('x', 1 << 20);
}
echo getmypid();
