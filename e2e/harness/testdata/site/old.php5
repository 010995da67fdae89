<?php
echo "php5 ", $_SERVER['PATH_INFO'] ?? '-', "\n";
