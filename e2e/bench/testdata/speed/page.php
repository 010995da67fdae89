<?php
// A page of 100 KB, handed over in one piece, that costs PHP next to nothing.
echo str_repeat(str_pad('<p>0', 995, '.') . "</p>\n", 100);
