<?php
switch ($_GET['how']) {
	case 'exit':
		exit(3);
	case 'fatal':
		no_such_function();
	case 'memory':
		str_repeat('x', 1 << 30);
}
