<?php
// Dies of a fault, as a broken extension makes it.
posix_kill(getmypid(), SIGSEGV);
sleep(60);
