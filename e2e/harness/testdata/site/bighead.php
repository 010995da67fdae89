<?php
header('X-Big: ' . str_repeat('h', 100 * 1024));
echo "big head\n";
