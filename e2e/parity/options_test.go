//go:build linux

package parity

// options sends requests for the scripts of responses to sites with options that
// change responses.
func options() []request {
	interesting := []string{
		`echo "hello";`, `;`, `echo str_repeat("x", 100000);`, `echo str_repeat("x", 200000);`, `echo "a"; flush(); echo "b";`, `http_response_code(204);`, `http_response_code(304); header('ETag: "x"');`,
		`http_response_code(404); echo "404";`, `http_response_code(410); echo "410";`, `http_response_code(418); echo "418";`, `http_response_code(500); echo "500";`, `http_response_code(500);`,
		`http_response_code(503); header('X-Script: busy'); echo "503";`, `header('Link: </a.css>; rel=preload'); http_response_code(103); echo "early";`,
		`header('Location: /hello.php');`, `header('Location: /hello.php', true, 303);`, `header('X-Gone: 1'); header('X-More: 1'); header('X-Replaced: old'); header('X-Script: script'); header('X-Default: script'); header('X-Deferred: script'); echo "changed by options";`,
		`header('Server: mine'); echo "server";`, `header('Set-Cookie: a=b'); header('Set-Cookie: c=d', false); echo "cookies";`, `header('Vary: Accept'); echo "vary";`,
		`header('X-Accel-Redirect: /secret.txt'); header('X-Script: said this'); echo "the script's own body";`, `header('X-Accel-Redirect: /none.txt'); echo "the script's own body";`,
		`header('Content-Type: text/html'); echo "{{1}} template {{.Req.Method}}";`, `header('Content-Type: text/plain'); echo "plain";`, `header('Content-Type: text/html'); echo "{{broken";`,
		`header('Content-Length: 5'); echo "right";`, `header('Content-Length: 3'); echo "too long";`, `header('Content-Length: 100'); echo str_repeat("x", 50);`, `header('Content-Length: 4'); http_response_code(404); echo "gone";`, `header('Content-Length: 3'); http_response_code(500); echo "500";`,
		`header('Content-Encoding: gzip'); echo gzencode("compressed by the script");`, `header('Content-Type: text/event-stream'); echo "data: 1\n\n"; flush(); echo "data: 2\n\n";`,
		`throw new Exception("thrown");`,
		`header('ETag: "e"'); echo str_repeat("etag", 1000);`, `header('Cache-Control: max-age=5'); echo "caching";`, `header('Connection: X-Hop'); header('X-Hop: 1'); echo "hop";`,
		`header('Transfer-Encoding: chunked'); echo "5\r\nhello\r\n0\r\n\r\n";`, `http_response_code(404); echo str_repeat("x", 200000);`, `http_response_code(500); echo "a"; flush(); echo str_repeat("x", 200000);`,
	}
	var rows []request
	for i, php := range interesting {
		ways := []request{{}, {fields: []string{"Accept-Encoding: gzip"}}}
		if i%3 == 0 {
			ways = append(ways, request{method: "HEAD"}, request{proto: h2}, request{proto: h10}, request{method: "POST", fields: []string{formType}, body: &body{data: "a=b"}})
		}
		for _, q := range ways {
			q.php = php
			q.name = q.complete().method + " " + php
			if q.fields != nil {
				q.name += " " + q.fields[0]
			}
			rows = append(rows, q)
		}
	}
	var crashes []request
	for _, php := range []string{`posix_kill(getmypid(), 9); sleep(1);`, `echo "flushed "; flush(); posix_kill(getmypid(), 9); sleep(1);`} {
		crashes = append(crashes, request{php: php, name: php})
	}
	return append(onSites(crashes, "intercept", "handled", "errors"), onSites(rows, "intercept", "intercept-php", "handled", "replaced-status", "header-down", "headers", "headers-before", "accel", "encode", "templates", "errors", "buffered", "flushing")...)
}
