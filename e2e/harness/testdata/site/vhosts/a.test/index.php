<?php
echo "site a\n";
