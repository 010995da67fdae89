<?php
// Writes more than the buffer of a connection.
echo str_repeat('x', 16 << 20);
