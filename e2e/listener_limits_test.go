//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// startListener runs a Caddy that only listens for FastCGI, with a pool of these options.
func startListener(t *testing.T, lines ...string) (s *harness.Server, address string) {
	t.Helper()
	s = harness.Prepare(t, harness.SharedLean, harness.Options{Global: "php_pool {\npool main {\n" + strings.Join(lines, "\n") + "\n}\nfastcgi unix/{$DIR}/l.sock {\npool main\nstatus /status\n}\n}"})
	if err := s.Run(""); err != nil {
		t.Fatal(err)
	}
	return s, filepath.Join(s.Dir, "l.sock")
}

// sendScript sends a request for a script of the site, and returns its connection.
func sendScript(t *testing.T, s *harness.Server, address, script string, keep bool) *harness.FastCGIConn {
	t.Helper()
	c := harness.DialFastCGI(t, address)
	if _, err := c.Write(harness.FastCGIRequest(1, keep, "", "SCRIPT_FILENAME", filepath.Join(s.Site, script), "REQUEST_METHOD", "GET", "SCRIPT_NAME", "/"+script, "REQUEST_URI", "/"+script+"?secret", "QUERY_STRING", "secret")); err != nil {
		t.Fatal(err)
	}
	return c
}

const untilGo = `<?php touch(__DIR__ . '/runs'); while (!file_exists(__DIR__ . '/go')) { usleep(2000); clearstatcache(); } echo 'done';`

// A web server that closes the connection has given its request up: a script sees that
// as with php-fpm, and a request in the queue is dropped.
func TestListener_WebServerGivesUp(t *testing.T) {
	t.Parallel()
	s, address := startListener(t, "workers 1")
	harness.WriteFile(t, filepath.Join(s.Site, "loop.php"), `<?php
		register_shutdown_function(function () { file_put_contents(__DIR__ . '/status', connection_status()); });
		touch(__DIR__ . '/runs');
		while (true) { echo str_repeat('x', 1000); flush(); usleep(1000); }`)
	harness.ChownToPHP(t, s.Site)
	for _, abort := range []bool{false, true} {
		os.Remove(filepath.Join(s.Site, "runs"))
		os.Remove(filepath.Join(s.Site, "status"))
		c := sendScript(t, s, address, "loop.php", true)
		waitFile(t, filepath.Join(s.Site, "runs"))
		if abort {
			if _, err := c.Write(harness.FastCGIRecord(2, 1, "")); err != nil {
				t.Fatal(err)
			}
		} else {
			c.Close()
		}
		harness.Eventually(t, func() error {
			if text, err := os.ReadFile(filepath.Join(s.Site, "status")); err != nil || string(text) != "1" {
				return fmt.Errorf("connection_status: got %q, %w, want 1", text, err)
			}
			return nil
		})
	}

	os.Remove(filepath.Join(s.Site, "runs"))
	harness.WriteFile(t, filepath.Join(s.Site, "wait.php"), untilGo)
	running := sendScript(t, s, address, "wait.php", false)
	waitFile(t, filepath.Join(s.Site, "runs"))
	queued := sendScript(t, s, address, "loop.php", true)
	s.WaitPool("with one waiting", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
	queued.Close()
	s.WaitPool("with an empty queue", func(p harness.PoolStatus) bool { return p.Queue.Length == 0 })
	harness.WriteFile(t, filepath.Join(s.Site, "go"), "")
	if res, err := running.Receive(1); err != nil || !strings.HasSuffix(res.Stdout, "done") {
		t.Errorf("got %q, %v", res.Stdout, err)
	}
}

// Requests that PHP does not answer get a page, because web servers make 502 of anything
// else, and the reason is in the web server's log.
func TestListener_ErrorPages(t *testing.T) {
	t.Parallel()
	s, address := startListener(t, "workers 1", "max_queue 1", "quarantine 1 1m 1m")
	harness.WriteFile(t, filepath.Join(s.Site, "wait.php"), untilGo)
	harness.WriteFile(t, filepath.Join(s.Site, "die.php"), `<?php posix_kill(getmypid(), 9);`)
	want := func(res harness.FastCGIResponse, err error, status, reason string) {
		t.Helper()
		if err != nil || !strings.HasPrefix(res.Stdout, "Status: "+status+" ") || !strings.Contains(res.Stderr, reason) {
			t.Errorf("got %q, %q, %v, want %s, %s", res.Stdout, res.Stderr, err, status, reason)
		}
	}
	script := func(name string) []string {
		return []string{"SCRIPT_FILENAME", filepath.Join(s.Site, name), "REQUEST_METHOD", "GET", "SCRIPT_NAME", "/" + name}
	}

	running := sendScript(t, s, address, "wait.php", true)
	waitFile(t, filepath.Join(s.Site, "runs"))
	queued := sendScript(t, s, address, "wait.php", true)
	s.WaitPool("with one waiting", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
	rejected := harness.DialFastCGI(t, address)
	res, err := rejected.Do(true, "", script("hello.php")...)
	want(res, err, "503", "queue is full")
	if !strings.Contains(res.Stdout, "\r\nRetry-After: 5\r\n") {
		t.Errorf("got %q, want Retry-After", res.Stdout)
	}
	if !strings.Contains(res.Stdout, "\r\nProxy-Status: php_pool; error=connection_limit_reached\r\n") {
		t.Errorf("got %q, want Proxy-Status", res.Stdout)
	}
	res, err = rejected.Do(true, "", "SCRIPT_NAME", "/status", "REQUEST_METHOD", "GET", "QUERY_STRING", "full")
	if err != nil || !strings.Contains(res.Stdout, "\nactive processes:     1\n") || !strings.Contains(res.Stdout, "\nrequest URI:          /wait.php\n") || strings.Contains(res.Stdout, "secret") {
		t.Errorf("status: got %q, %v", res.Stdout, err)
	}
	harness.WriteFile(t, filepath.Join(s.Site, "go"), "")
	for _, c := range []*harness.FastCGIConn{running, queued} {
		if res, err := c.Receive(1); err != nil || !strings.HasSuffix(res.Stdout, "done") {
			t.Errorf("got %q, %v", res.Stdout, err)
		}
	}
	if res, err := rejected.Do(true, "", script("hello.php")...); err != nil || !strings.HasSuffix(res.Stdout, "hello\n") {
		t.Errorf("on the connection of the rejected request: got %q, %v", res.Stdout, err)
	}

	res, err = rejected.Do(true, "", append(script("hello.php"), "HTTP_X", strings.Repeat("x", 66000))...)
	want(res, err, "431", "too large")
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprint("HTTP_X", i), strings.Repeat("x", 60000))
	}
	res, err = rejected.Do(true, "", append(many, script("hello.php")...)...)
	want(res, err, "431", "larger than")

	res, err = rejected.Do(true, "", script("die.php")...)
	want(res, err, "502", "worker exited")
	res, err = rejected.Do(true, "", script("die.php")...)
	want(res, err, "503", "quarantined")
	if res, err := rejected.Do(true, "", script("hello.php")...); err != nil || !strings.HasSuffix(res.Stdout, "hello\n") {
		t.Errorf("at the end: got %q, %v", res.Stdout, err)
	}
}

func TestListener_RequestTimeout(t *testing.T) {
	t.Parallel()
	s, address := startListener(t, "workers 1", "request_timeout 300ms")
	harness.WriteFile(t, filepath.Join(s.Site, "loop.php"), `<?php while (true);`)
	c := sendScript(t, s, address, "loop.php", true)
	if res, err := c.Receive(1); err != nil || !strings.HasPrefix(res.Stdout, "Status: 504 ") || !strings.Contains(res.Stderr, "request_timeout") {
		t.Errorf("got %q, %q, %v", res.Stdout, res.Stderr, err)
	}
}

// When a part of the response is out, only the end of the connection can tell that the
// rest is missing.
func TestListener_IncompleteResponse(t *testing.T) {
	t.Parallel()
	s, address := startListener(t, "workers 1")
	harness.WriteFile(t, filepath.Join(s.Site, "part.php"), `<?php echo 'part'; ob_end_flush(); flush(); file_put_contents(__DIR__ . '/pid', getmypid()); touch(__DIR__ . '/runs'); while (true);`)
	harness.ChownToPHP(t, s.Site)
	c := sendScript(t, s, address, "part.php", true)
	if typ, _, content, err := c.ReadRecord(); typ != 6 || !strings.HasSuffix(content, "part") {
		t.Fatalf("got record %d, %q, %v", typ, content, err)
	}
	waitFile(t, filepath.Join(s.Site, "runs"))
	pid, err := strconv.Atoi(harness.ReadFile(t, filepath.Join(s.Site, "pid")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if res, err := c.Receive(1); err == nil {
		t.Errorf("an incomplete response ended with %q", res.Stdout)
	}
}

// A script that is replaced while requests wait in the queue is found again.
func TestListener_ScriptReplaced(t *testing.T) {
	t.Parallel()
	s, address := startListener(t, "workers 1")
	release := func(i int) string {
		dir := filepath.Join(s.Dir, fmt.Sprint("r", i))
		harness.WriteFile(t, filepath.Join(dir, "index.php"), fmt.Sprintf("<?php echo 'release %d ', file_get_contents('php://input');", i))
		return dir
	}
	link := filepath.Join(s.Dir, "current")
	if err := os.Symlink(release(1), link); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(s.Site, "wait.php"), untilGo)
	running := sendScript(t, s, address, "wait.php", false)
	waitFile(t, filepath.Join(s.Site, "runs"))
	queued := harness.DialFastCGI(t, address)
	if _, err := queued.Write(harness.FastCGIRequest(1, false, "the body", "SCRIPT_FILENAME", link+"/index.php", "REQUEST_METHOD", "POST", "CONTENT_LENGTH", "8")); err != nil {
		t.Fatal(err)
	}
	s.WaitPool("with one waiting", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
	harness.WriteFile(t, filepath.Join(s.Dir, "r1/moved.php"), "")
	if err := os.Rename(filepath.Join(s.Dir, "r1/index.php"), filepath.Join(s.Dir, "r1/gone.php")); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(s.Site, "go"), "")
	if res, err := queued.Receive(1); err != nil || !strings.HasPrefix(res.Stdout, "Status: 404") || !strings.HasSuffix(res.Stdout, "File not found.\n") {
		t.Errorf("a script that is gone: got %q, %v", res.Stdout, err)
	}
	if _, err := running.Receive(1); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// systemd opens a socket and passes it on.
func TestListener_SocketActivation(t *testing.T) {
	t.Parallel()
	activate := `use Socket; use POSIX; my $path = shift; $^F = 10; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; bind($s, sockaddr_un($path)) or die "$path: $!"; listen($s, 5) or die; POSIX::dup2(fileno($s), 3); exec @ARGV or die;`
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Global: "php_pool {\nworkers 1\nfastcgi fd/3\n}"})
	address := filepath.Join(s.Dir, "systemd.sock")
	s.Options.Wrapper = []string{"/usr/bin/perl", "-e", activate, address}
	if err := s.Run(""); err != nil {
		t.Fatal(err)
	}
	get := func() {
		t.Helper()
		res, err := harness.DialFastCGI(t, address).Do(false, "", "SCRIPT_FILENAME", filepath.Join(s.Site, "hello.php"), "REQUEST_METHOD", "GET")
		if err != nil || !strings.HasSuffix(res.Stdout, "hello\n") {
			t.Errorf("got %q, %v", res.Stdout, err)
		}
	}
	get()
	s.Options.Global = "php_pool {\nworkers 2\nfastcgi fd/3\n}"
	s.MustReload("")
	get()
}
