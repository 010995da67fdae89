<?php
// Crashes with a segmentation fault, as a faulty extension does.
posix_kill(getmypid(), SIGSEGV);
sleep(60);
