//go:build linux

package webservers

// responseRows are scripts with responses of all kinds.
func responseRows() []request {
	return []request{
		// status
		{name: "redirect", php: `header('Location: https://example.test/x?y=1');`},
		{name: "redirect by path", php: `header('Location: /hello.php?x');`},
		{name: "301", php: `header('Location: /x', true, 301); echo 'moved';`},
		{name: "303 after POST", method: "POST", fields: []string{form}, body: "a=1", php: `header('Location: /x', true, 303);`},
		{name: "201 with Location", php: `header('Location: /x', true, 201); echo 'made';`},
		{name: "204", php: `http_response_code(204);`},
		{name: "304", php: `http_response_code(304); header('ETag: "a"');`},
		{name: "404", php: `http_response_code(404); echo 'own 404';`},
		{name: "500", php: `http_response_code(500); echo 'own 500';`},
		{name: "503", php: `http_response_code(503); header('Retry-After: 5'); echo 'later';`},
		{name: "own reason", php: `header('HTTP/1.1 418 I am a teapot'); echo 'tea';`},
		{name: "own reason of 200", php: `header('HTTP/1.1 200 Fine'); echo 'x';`},
		{name: "unknown status", php: `http_response_code(299); echo 'x';`},
		{name: "Status field", php: `header('Status: 402 Pay Up'); echo 'x';`},
		{name: "401", php: `header('WWW-Authenticate: Basic realm="a"'); http_response_code(401);`},

		// header
		{name: "cookies of PHP", php: `setcookie('a', '1'); setcookie('b', 'ü', ['path' => '/x', 'httponly' => true]); header('Set-Cookie: c=3', false); echo 'x';`},
		{name: "duplicate fields", php: `header('X-A: 1'); header('X-B: 2'); header('X-A: 3', false); header('x-lower: v'); echo 'x';`},
		{name: "no type", php: `ini_set('default_mimetype', ''); echo 'x';`},
		{name: "own type", php: `header('Content-Type: image/png'); echo "\x89PNG";`},
		{name: "no X-Powered-By", php: `header_remove('X-Powered-By'); echo 'x';`},
		{name: "long field", php: `header('X-Long: ' . str_repeat('v', 3000)); echo 'x';`},
		{name: "100 fields", php: `for ($i = 0; $i < 100; $i++) { header("X-$i: " . str_repeat('v', 10)); } echo 'x';`},
		// HAProxy 2.6 crashes when the header does not fit into its buffer.
		{name: "20 KB of header", not: haproxy, php: `for ($i = 0; $i < 20; $i++) { header("X-$i: " . str_repeat('v', 1000)); } echo 'x';`},
		{name: "session", php: `session_save_path(sys_get_temp_dir()); session_id('webservers'); session_start(); echo 'x';`},
		{name: "X-Accel-Redirect", only: nginx, php: `header('X-Accel-Redirect: /internal/static.txt'); echo 'not this';`},
		{name: "Content-Length", php: `header('Content-Length: 5'); echo 'hello';`},
		{name: "Content-Length of HEAD", method: "HEAD", php: `header('Content-Length: 5'); echo 'hello';`},
		{name: "UTF-8 field", php: `header('X-U: ü'); echo 'x';`},

		// body
		{name: "no output", php: ``},
		{name: "2 MB", php: `echo str_repeat('0123456789abcdef', 131072);`},
		{name: "2 MB in pieces", php: `for ($i = 0; $i < 2048; $i++) { echo str_repeat(chr(65 + $i % 26), 1024); if ($i % 100 === 0) { flush(); } }`},
		{name: "binary", php: `for ($i = 0; $i < 256; $i++) { echo chr($i); }`},
		{name: "compressed", fields: []string{"Accept-Encoding: gzip"}, php: `ob_start('ob_gzhandler'); echo str_repeat('hello ', 1000);`},
		{name: "HEAD with output", method: "HEAD", php: `echo str_repeat('hello', 10000);`},
		{name: "output buffers", php: `ob_start(); echo 'a'; ob_start(); echo 'b'; ob_end_flush(); header('X-Late: 1');`},
		{name: "exit", php: `echo 'before'; exit(3);`},
		{name: "finished", php: `echo 'a'; fastcgi_finish_request(); echo 'dropped';`},
		{name: "finished without output", php: `header('X-A: 1'); http_response_code(202); fastcgi_finish_request(); echo 'dropped';`},
		{name: "finished with 2 MB", php: `echo str_repeat('0123456789abcdef', 131072); fastcgi_finish_request(); echo 'dropped';`},

		// errors
		{name: "warning", php: `echo $undefined; echo 'after';`},
		{name: "parse error", php: `echo 'x`},
		{name: "exception", php: `echo 'before'; throw new Exception('thrown');`},
		{name: "exception without display", php: `ini_set('display_errors', '0'); throw new Exception('thrown');`},
		{name: "out of memory", php: `ini_set('memory_limit', '4M'); $x = str_repeat('x', 8 << 20);`},
		{name: "recursion of includes", php: `require 'missing-file.php';`},
		{name: "to the error log", php: `error_log('to the log'); echo 'x';`},
		// HAProxy 2.6 crashes at that, with php-fpm too.
		{name: "much to the error log", not: haproxy, php: `for ($i = 0; $i < 200; $i++) { error_log("PHP $i " . str_repeat('e', 300)); } echo 'x';`},
		{name: "to STDERR", php: `file_put_contents('php://stderr', "raw stderr\n"); echo 'x';`},
	}
}
