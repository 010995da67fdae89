<?php
echo "welcome\n";
