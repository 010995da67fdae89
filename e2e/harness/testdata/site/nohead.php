<?php
ini_set('default_mimetype', '');
header_remove();
echo "no head\n";
