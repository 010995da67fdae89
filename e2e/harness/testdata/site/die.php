<?php
// Kills its own process, without output.
posix_kill(getmypid(), 9);
