<?php
// Takes memory, in bytes: leak=n for good, as a bad extension would; use=n as
// scripts do; hog=1 until there is no more.
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
