<?php
// A page of 100 KB, as a template engine hands it over: in one piece.
$page = '';
for ($i = 0; $i < 100; $i++) {
    $page .= str_pad("<p>$i", 995, '.') . "</p>\n";
}
echo $page;
