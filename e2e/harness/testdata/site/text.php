<?php
echo str_repeat("text that can be made smaller\n", 1000);
