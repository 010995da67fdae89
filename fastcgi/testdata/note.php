<?php
// Notes down how much of the body it got.
file_put_contents($_GET['file'], strlen(file_get_contents('php://input')));
