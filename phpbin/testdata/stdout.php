<?php
// More than a connection holds.
echo str_repeat('x', 16 << 20);
