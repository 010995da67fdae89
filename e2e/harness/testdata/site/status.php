<?php
header('Status: ' . $_GET['s']);
echo "a body\n";
