<?php
error_log('before the head');
echo str_repeat('x', 20000);
error_log('after the head');
