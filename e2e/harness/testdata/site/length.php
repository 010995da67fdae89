<?php
header('Content-Length: ' . $_GET['n']);
echo '0123456789';
