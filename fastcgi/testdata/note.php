<?php
// Writes the number of body bytes it received to a file.
file_put_contents($_GET['file'], strlen(file_get_contents('php://input')));
