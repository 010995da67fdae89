<?php
// A page of 100 KB, written at once, which takes PHP hardly any time.
echo str_repeat(str_pad('<p>0', 995, '.') . "</p>\n", 100);
