//go:build linux

package webservers

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// streamScripts wait for the files of the test that runs them: base is a path that
// no other test uses. wait() returns when the test has created base.go.
var streamScripts = map[string]string{
	"events.php": `
		header('Content-Type: text/event-stream');
		header('X-Accel-Buffering: no');
		echo "data: first\n\n";
		flush();
		wait();
		echo "data: second\n\n";`,
	"finish.php": `
		echo 'whole';
		fastcgi_finish_request();
		wait();
		note('went on');`,
	"upload.php": `
		$body = fopen('php://input', 'r');
		$first = fread($body, 5);
		note("got $first");
		echo $first, stream_get_contents($body);`,
	"leave.php": `
		header('X-Accel-Buffering: no');
		register_shutdown_function(function () { note('connection_status ' . connection_status()); });
		while (true) {
			echo str_repeat('x', 4096);
			flush();
			usleep(1000);
		}`,
}

// streamPrelude begins each of them. Debian's php.ini buffers output, which flush() does
// not send.
const streamPrelude = `<?php
ob_end_flush();
$base = __DIR__ . '/../writable/' . basename($_GET['base']);
function wait() { while (!file_exists($GLOBALS['base'] . '.go')) { usleep(2000); clearstatcache(); } }
function note($text) { file_put_contents($GLOBALS['base'] . '.tmp', $text); rename($GLOBALS['base'] . '.tmp', $GLOBALS['base'] . '.note'); }
`

// streamed is a request for one of streamScripts.
type streamed struct {
	t    *testing.T
	base string
	conn net.Conn
	text string // what has been read
}

// startStream sends a request.
func startStream(t *testing.T, r *rig, f front, b backend, script string, changes ...func(*request)) *streamed {
	t.Helper()
	q := &request{method: "GET", target: fmt.Sprintf("/streams/%s?base=%s-%s-%[1]s", script, f.name, b.name)}
	for _, change := range changes {
		change(q)
	}
	_, name, _ := strings.Cut(q.target, "?base=")
	conn, err := dial(r.port(f, b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(q.bytes()); err != nil {
		t.Fatal(err)
	}
	return &streamed{t: t, base: filepath.Join(r.Site, "writable", name), conn: conn}
}

// readUntil reads until the text has come.
func (s *streamed) readUntil(text string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(s.text, text) {
		n, err := s.conn.Read(buf)
		s.text += string(buf[:n])
		if err != nil {
			s.t.Fatalf("%q has not arrived: %v after %.600q", text, err, s.text)
		}
	}
}

// readAll reads to the end of the connection.
func (s *streamed) readAll() {
	s.t.Helper()
	rest, err := io.ReadAll(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	s.text += string(rest)
}

// write sends more of the request.
func (s *streamed) write(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, text); err != nil {
		s.t.Fatal(err)
	}
}

// release lets the script go on.
func (s *streamed) release() {
	s.t.Helper()
	harness.WriteFile(s.t, s.base+".go", "")
}

// note waits for the note of the script.
func (s *streamed) note() (text string) {
	s.t.Helper()
	harness.Eventually(s.t, func() error {
		content, err := os.ReadFile(s.base + ".note")
		text = string(content)
		return err
	})
	return text
}

// checkStreams checks through one front that what PHP flushes arrives before the script
// goes on, that fastcgi_finish_request ends the response, and that PHP notices a client
// that leaves. All of it is also checked with php-fpm: it shows that the web server
// passes it on.
func checkStreams(t *testing.T, r *rig, f front) {
	t.Helper()
	for _, b := range r.backends() {
		t.Run("events from "+b.name, func(t *testing.T) {
			s := startStream(t, r, f, b, "events.php")
			s.readUntil("data: first")
			s.release()
			s.readUntil("data: second")
		})
		t.Run("finish by "+b.name, func(t *testing.T) {
			s := startStream(t, r, f, b, "finish.php")
			s.readAll()
			if !strings.Contains(s.text, "whole") {
				t.Errorf("got %q", s.text)
			}
			if b.name == r.listener.name {
				wantServing(t, r, f)
			}
			s.release()
			if got := s.note(); got != "went on" {
				t.Errorf("the script says %q", got)
			}
		})
		t.Run("client leaves "+b.name, func(t *testing.T) {
			s := startStream(t, r, f, b, "leave.php")
			s.readUntil("xxxx")
			s.conn.Close()
			if got := s.note(); got != "connection_status 1" {
				t.Errorf("the script says %q, want connection_status 1", got)
			}
		})
	}
}

// wantServing checks that a connection which the web server keeps is free for other
// requests while the script of its last one goes on.
func wantServing(t *testing.T, r *rig, f front) {
	t.Helper()
	for range 5 {
		if got := send(r.port(f, r.listener), &request{method: "GET", target: "/hello.php"}); got["body"] != "hello" {
			t.Errorf("while a script goes on: got %q with %q (%s)", got["head"], got["body"], got["ended"])
		}
	}
}

// number matches what differs between two lines of a log: times, process IDs, ports.
var number = regexp.MustCompile(`\d+`)

// checkStderr compares the lines in the log of the web server for what a script writes
// to the error log.
func checkStderr(t *testing.T, r *rig, f front) {
	t.Helper()
	if r.logs[f.program] == "" {
		return
	}
	t.Run("log of the web server", func(t *testing.T) {
		lines := map[string][]string{}
		for _, b := range r.backends() {
			marker := fmt.Sprintf("marker-%s-%s", f.name, b.name)
			send(r.port(f, b), &request{method: "GET", target: "/streams/log.php?marker=" + marker})
			harness.Eventually(t, func() error {
				var found []string
				for line := range strings.Lines(harness.ReadFile(t, r.logs[f.program])) {
					if strings.Contains(line, marker) {
						line = strings.NewReplacer(marker, "MARKER", b.unix, "SOCKET").Replace(line)
						found = append(found, number.ReplaceAllString(line, "N"))
					}
				}
				lines[b.name] = found
				if len(found) == 0 {
					return fmt.Errorf("%s has no line with %s", r.logs[f.program], marker)
				}
				return nil
			})
		}
		if want, got := lines[r.fpm.name], lines[r.listener.name]; !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
