<?php
// Kills every process of its process group that it may signal.
posix_kill(0, SIGKILL);
