<?php
echo "site b\n";
