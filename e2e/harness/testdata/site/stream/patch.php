<?php
// Saves a body while it arrives, as a server of resumable uploads does. Then writes
// the length to NAME.saved; output until the client has disconnected, with "gone"; and
// the status of the connection to NAME.after.
ignore_user_abort(isset($_GET['ignore']));
$name = dirname(__DIR__) . '/' . basename($_GET['name']);
$in = fopen('php://input', 'r');
$out = fopen($name, 'w');
for ($n = 0; ($part = fread($in, 8192)) !== '' && $part !== false; $n += strlen($part)) {
	fwrite($out, $part);
}
rename_written("$name.saved", $n);
for ($i = 0; isset($_GET['gone']) && !connection_aborted() && $i < 6000; $i++) {
	echo str_repeat(' ', 100);
	flush();
	usleep(10000);
}
echo "saved $n\n";
rename_written("$name.after", connection_status());

function rename_written($name, $text) {
	file_put_contents("$name.new", $text);
	rename("$name.new", $name);
}
