<?php
echo "index ", $_SERVER['REQUEST_URI'], "\n";
