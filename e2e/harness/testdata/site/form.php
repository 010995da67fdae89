<?php
// Shows $_POST.
echo http_build_query($_POST);
