<?php // Saves the body piece by piece, and reports each piece.
ignore_user_abort(true);
$in = fopen('php://input', 'r');
$out = fopen($_GET['file'], 'w');
while (($p = fread($in, 8192)) !== '' && $p !== false) {
	fwrite($out, $p);
	echo strlen($p), "\n";
	flush();
}
rename($_GET['file'], $_GET['file'] . '.done');
