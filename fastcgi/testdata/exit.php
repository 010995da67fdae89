<?php
match ($_GET['how']) {
	'exit' => exit(3),
	'fatal' => no_such_function(),
	'memory' => str_repeat('x', 1 << 30),
};
