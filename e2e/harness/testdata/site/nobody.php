<?php
http_response_code((int) $_GET['s']);
echo "a body where none may be\n";
