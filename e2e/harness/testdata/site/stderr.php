<?php
error_log('start-' . str_repeat('e', (int) $_GET['n']) . '-end');
echo "logged\n";
