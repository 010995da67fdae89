<?php
echo "front ", $_GET['p'] ?? '-', "\n";
