<?php
header('X-Accel-Redirect: ' . $_GET['to']);
header('X-Script: said this');
echo "the script's own body\n";
