//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestResponse requests scripts with unusual or invalid responses. There is one
// worker, so a changed process ID shows that it was replaced.
func TestResponse(t *testing.T) {
	t.Parallel()
	checks := []check{
		{"flushed output arrives while the script runs", firstEventFirst},
		{"a script without any header is a 200", func(t *testing.T, s *harness.Server) {
			s.Get("/nohead.php").Want(t, 200, "no head\n")
		}},
		{"a header of 100 KB arrives", func(t *testing.T, s *harness.Server) {
			res := s.Get("/bighead.php")
			res.Want(t, 200, "big head\n")
			if got := len(res.Header.Get("X-Big")); got != 100<<10 {
				t.Errorf("X-Big: got %d bytes, want %d", got, 100<<10)
			}
		}},
	}
	for _, status := range []string{"0", "99", "103", "1000", "abc", "-1", "20x OK", ""} {
		checks = append(checks, check{fmt.Sprintf("Status %q is handled", status), func(t *testing.T, s *harness.Server) {
			res := s.Get("/status.php?s=" + strings.ReplaceAll(status, " ", "%20"))
			if res.StatusCode < 200 || res.StatusCode > 599 {
				t.Errorf("got status %d", res.StatusCode)
			}
		}})
	}
	for _, status := range []int{204, 304} {
		checks = append(checks, check{fmt.Sprintf("a body on %d is dropped", status), func(t *testing.T, s *harness.Server) {
			wantNext(t, s, fmt.Sprintf("/nobody.php?s=%d", status), status)
		}})
	}
	for _, length := range []string{"5", "-1", "abc"} {
		checks = append(checks, check{fmt.Sprintf("Content-Length %s for 10 bytes leaves the connection usable", length), func(t *testing.T, s *harness.Server) {
			wantNext(t, s, "/length.php?n="+length, 200)
		}})
	}
	for i, c := range checks {
		checks[i].run = func(t *testing.T, s *harness.Server) {
			before := s.Get("/pid.php").Text
			c.run(t, s)
			if after := s.Get("/pid.php").Text; after != before {
				t.Errorf("worker %s was replaced by %s", before, after)
			}
		}
	}
	checkAll(t, harness.BothTransports, harness.Options{Workers: 1}, checks)
}

// firstEventFirst reads the first event before the script may send the next one.
func firstEventFirst(t *testing.T, s *harness.Server) {
	res, err := s.Client.Do(s.Request("GET", "/sse.php?file=event.seen", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := bufio.NewReader(res.Body)
	if line, err := events.ReadString('\n'); line != "data: first\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	harness.WriteFile(t, filepath.Join(s.Site, "event.seen"), "")
	rest, err := io.ReadAll(events)
	if got, want := string(rest), "\ndata: second\n\n"; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// wantNext sends two requests on one connection: whatever the first one's
// script says, the second has to get its response there.
func wantNext(t *testing.T, s *harness.Server, path string, status int) {
	t.Helper()
	conn := harness.Dial(t, s)
	responses := bufio.NewReader(conn)
	get := func(path string) (*http.Response, string) {
		t.Helper()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, s.Port)
		res, err := http.ReadResponse(responses, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%s: reading the body: %v", path, err)
		}
		res.Body.Close()
		return res, string(body)
	}
	if res, body := get(path); res.StatusCode != status {
		t.Errorf("%s: got status %d, want %d (body %q)", path, res.StatusCode, status, body)
	}
	if res, body := get("/hello.php"); res.StatusCode != 200 || body != "hello\n" {
		t.Errorf("the request that follows: got %d %q", res.StatusCode, body)
	}
}

// TestCrash_RequestFails kills a worker during a request: only that request fails.
func TestCrash_RequestFails(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, harness.Options{Workers: 1})
		for range 3 {
			s.Do(s.Request("POST", "/die.php", strings.NewReader("x"))).Want(t, 502, "")
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
	})
}

// TestResponse_StreamWithResponseBuffers checks that an event reaches the client before
// the next one is sent.
func TestResponse_StreamWithResponseBuffers(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "workers 1", "response_buffers 10MiB"))
		firstEventFirst(t, s)
	})
}

// TestResponse_Length sends lengths that are right, wrong or missing.
func TestResponse_Length(t *testing.T) {
	t.Parallel()
	const fails = `http_response_code(500); echo 'body of status';`
	const short = `header('Content-Length: 100'); echo str_repeat('x', 50);`
	html := http.Header{"Content-Type": {"text/html; charset=UTF-8"}}
	all := []comparison{
		{name: "a body shorter than its length", h3: true, script: short},
		{name: "a HEAD of it", script: short, method: "HEAD"},
		{name: "304 with a length", script: `http_response_code(304);` + short},
		{
			name: "204 with a length", script: `http_response_code(204);` + short,
			differs: "a 204 must not have a Content-Length (RFC 9110, section 8.6): HTTP/2 clients fail",
			want:    received{Status: 204, Header: html},
		},
		{name: "205 with a length", script: `http_response_code(205);` + short},
		{name: "206 that is too short", script: `http_response_code(206); header('Content-Range: bytes 0-99/200');` + short},
		{name: "a length and no body", h3: true, script: `header('Content-Length: 100');`},
		{name: "a long body that is too short", h3: true, script: `header('Content-Length: 500000'); echo str_repeat('x', 300000);`},
		{name: "a body that is too short after a flush", script: `header('Content-Length: 100'); echo 'x'; flush(); usleep(20000); echo 'y';`},
		{name: "a fatal error in the middle", script: `header('Content-Length: 100'); echo 'x'; flush(); ini_set('display_errors', 0); nothing();`},
		{
			name: "a body that is too short and encoded", site: "/encode", fields: []string{"Accept-Encoding: gzip"},
			script: `header('Content-Length: 5000'); echo str_repeat('x', 4000);`,
		},
		{name: "a body longer than its length", script: `header('Content-Length: 10'); echo str_repeat('x', 50);`},
		{name: "no length", h3: true, script: `echo 'hello';`},
		{name: "no body", script: ``},
		{name: "HEAD", script: `echo 'hello';`, method: "HEAD"},
	}
	for _, site := range []string{"/respond", "/longer", "/file", "/kept", "/status", "/templates"} {
		all = append(all,
			comparison{name: "replaced by " + site, h3: true, site: site, script: fails},
			comparison{name: "a HEAD replaced by " + site, site: site, script: fails, method: "HEAD"},
			comparison{name: "a long one replaced by " + site, site: site, script: fails + `echo str_repeat('x', 100000);`},
			comparison{name: "an empty one replaced by " + site, site: site, script: `http_response_code(500);`},
			comparison{name: "passed by " + site, site: site, script: `echo 'hello {{ add 1 2 }}';`},
		)
	}
	compareWithFPM(t, all)
}

// TestResponse_Header sends header fields that belong to one connection, or that Caddy
// or another handler has set too.
func TestResponse_Header(t *testing.T) {
	t.Parallel()
	const fields = `foreach (['Server', 'X-Set', 'Cache-Control', 'Content-Type', 'Set-Cookie', 'Vary', 'X-Add', 'X-Default', 'X-Deferred', 'X-Removed'] as $f) header("$f: PHP=1");`
	compareWithFPM(t, []comparison{
		{name: "fields that Connection lists", h3: true, script: `header('Connection: X-Hop, close , x-other'); header('X-Hop: 1'); header('X-Other: 2'); header('X-Kept: 3'); echo 1;`},
		{name: "fields that two Connection fields list", script: `header('Connection: X-Hop'); header('Connection: Set-Cookie', false); header('X-Hop: 1'); setcookie('a', 'b'); echo 1;`},
		{name: "a Connection that lists Content-Length", script: `header('Connection: Content-Length'); header('Content-Length: 5'); echo 'hello';`},
		{name: "an empty Connection", script: `header('Connection: , ,'); header('X-Hop: 1'); echo 1;`},
		{name: "hop-by-hop fields", script: `foreach (['Keep-Alive', 'Proxy-Connection', 'Proxy-Authenticate', 'Proxy-Authorization', 'TE', 'Trailer', 'Upgrade', 'Alt-Svc', 'X-Kept'] as $f) header("$f: x"); echo 1;`},
		{name: "Server", h3: true, script: `header('Server: mine'); echo 1;`},
		{name: "an empty Server", script: `header('Server:'); echo 1;`},
		{name: "two Server", script: `header('Server: mine'); header('Server: yours', false); echo 1;`},
		{name: "fields that Caddy sets", site: "/encode", fields: []string{"Accept-Encoding: gzip"}, script: `foreach (['Server', 'Vary', 'Accept-Ranges'] as $f) header("$f: php"); header('ETag: "a"'); echo str_repeat('x', 5000);`},
		{name: "fields that header sets", site: "/header", script: fields + `echo 1;`},
		{name: "fields of a response that intercept replaces", site: "/respond", script: `http_response_code(500); ` + fields},
	})
}

// TestResponse_Interim sends interim statuses (1xx): the response that follows has the
// same header.
func TestResponse_Interim(t *testing.T) {
	t.Parallel()
	const hint = `header('Link: </a.css>; rel=preload', false); http_response_code(103);`
	all := []comparison{
		{name: "early hints", h3: true, script: hint + `echo 'early';`},
		{name: "two hints", script: `header('Link: </b.css>; rel=preload');` + hint + `echo 'early';`},
		{name: "hints before the body", h3: true, script: hint + `usleep(20000); echo 'late';`},
		{name: "hints and no body", script: hint},
		{name: "hints and a HEAD", method: "HEAD", script: hint + `echo 'early';`},
		{name: "hints and a length", script: hint + `header('Content-Length: 5'); echo 'early';`},
		{name: "hints and a long body", script: hint + `echo str_repeat('x', 300000);`},
		{name: "hints and fields of the connection", script: hint + `header('Connection: X-Hop'); header('X-Hop: 1'); header('Server: mine'); echo 1;`},
		{name: "hints by a status line", script: `header('HTTP/1.1 103 Early Hints'); header('Link: </a.css>'); echo 1;`},
		{name: "hints of a redirect", script: hint + `header('Location: /'); echo 1;`},
		{name: "hints with fields that header sets", site: "/header", script: hint + `header('Server: mine'); echo 1;`},
		{name: "hints before a response that intercept passes", site: "/respond", script: hint + `echo 1;`},
		{
			name: "101", script: `http_response_code(101); header('Upgrade: x'); header('Connection: Upgrade'); echo 1;`,
			differs: "php_fastcgi sends an empty 200, which hides the mistake",
			want:    received{Status: 502, Header: http.Header{"Content-Length": {"0"}}},
		},
	}
	for _, status := range []int{100, 102, 104, 150, 199} {
		all = append(all, comparison{name: fmt.Sprint(status), script: fmt.Sprintf(`http_response_code(%d); echo 'page';`, status)})
	}
	compareWithFPM(t, all)
}

// TestResponse_Chunked runs scripts that use the chunked transfer coding, or only say so.
func TestResponse_Chunked(t *testing.T) {
	t.Parallel()
	const chunked = `header('Transfer-Encoding: chunked');`
	html := http.Header{"Content-Type": {"text/html; charset=UTF-8"}}
	text := func(body string) received {
		h := html.Clone()
		h["Content-Length"] = []string{fmt.Sprint(len(body))}
		return received{Status: 200, Header: h, Body: body}
	}
	compareWithFPM(t, []comparison{
		{name: "one chunk", h3: true, script: chunked + `echo "5\r\nhello\r\n0\r\n\r\n";`},
		{name: "many chunks", script: chunked + `for ($i = 1; $i < 3000; $i++) echo dechex($i), "\r\n", str_repeat(chr(97 + $i % 26), $i), "\r\n"; echo "0\r\n\r\n";`},
		{name: "flushed chunks", script: chunked + `foreach (str_split("5;x=y\r\nhello\r\nA\r\n, my world\r\n0\r\n\r\n") as $c) { echo $c; flush(); }`},
		{name: "a trailer section", script: chunked + `echo "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\nmore";`},
		{name: "no chunk but the last", script: chunked + `echo "0\r\n\r\n";`},
		{name: "no last chunk", h3: true, script: chunked + `echo "5\r\nhello\r\n";`},
		{name: "a chunk that is cut", script: chunked + `echo "5\r\nhello\r\n5\r\nhe";`},
		{name: "an invalid chunk", script: chunked + `echo "5\r\nhello\r\nx\r\n";`},
		{name: "a HEAD", method: "HEAD", script: chunked + `echo "5\r\nhello\r\n0\r\n\r\n";`},
		{
			name: "304", script: `http_response_code(304);` + chunked + `echo "5\r\nhello\r\n0\r\n\r\n";`,
			differs: "php_fastcgi resets the stream of HTTP/2", want: received{Status: 304, Header: http.Header{}},
		},
		{name: "encoded", site: "/encode", fields: []string{"Accept-Encoding: gzip"}, script: chunked + `echo "1000\r\n", str_repeat('x', 4096), "\r\n0\r\n\r\n";`},
		{name: "another coding", script: `header('Transfer-Encoding: gzip, chunked'); echo "5\r\nhello\r\n0\r\n\r\n";`},
		{name: "identity", script: `header('Transfer-Encoding: identity'); echo "5\r\nhello\r\n0\r\n\r\n";`},
		{
			name: "a body that is not chunked", script: chunked + `echo 'plain text';`,
			differs: "php_fastcgi sends an empty body and aborts", want: text("plain text"),
		},
		{
			name: "a body that begins like a chunk", script: chunked + `echo "5\nhello\n0\n\n";`,
			differs: "the same", want: text("5\nhello\n0\n\n"),
		},
		{
			name: "a body that is only digits", script: chunked + `echo 42;`,
			differs: "the same", want: text("42"),
		},
		{
			name: "no body", script: chunked,
			differs: "php_fastcgi aborts", want: text(""),
		},
		{
			name: "in upper case", script: `header('Transfer-Encoding: CHUNKED'); echo "5\r\nhello\r\n0\r\n\r\n";`,
			differs: "transfer codings are case-insensitive (RFC 9112, section 7)", want: text("hello"),
		},
		{
			name: "a length, too", script: chunked + `header('Content-Length: 15'); echo "5\r\nhello\r\n0\r\n\r\n";`,
			differs: "php_fastcgi announces the length of the coded body", want: text("hello"),
		},
	})
}

// TestResponse_LengthAnnounced checks that the length of a whole response is announced
// through Caddy's own writers. It fails when a new version of Caddy renames one of
// those that package caddymodule knows.
func TestResponse_LengthAnnounced(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT}, https://127.0.0.1:{$PORT2} {
			tls internal
			log {
				output discard
			}
			root {$SITE}
			encode
			header >X-Deferred 1
			PHP
		}
	`, harness.Options{Global: "metrics\nservers {\nprotocols h1 h2 h2c h3\n}"})
	harness.WriteFile(t, filepath.Join(s.Site, "compared0.php"), `<?php echo str_repeat('x', 5000);`)
	awaitTLS(t, s)
	for _, protocol := range protocols {
		got := send(t, s, protocol, comparison{}, "/compared0.php")
		if length := got.Header.Get("Content-Length"); got.Status != 200 || len(got.Body) != 5000 || length != "5000" {
			t.Errorf("%s: got status %d, %d bytes, Content-Length %q", protocol, got.Status, len(got.Body), length)
		}
	}
}
