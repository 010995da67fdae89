//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// listenerScripts are scripts of which the whole response is compared with php-fpm's.
var listenerScripts = map[string]string{
	"hello":              `echo 'hello';`,
	"nothing":            ``,
	"order of headers":   `header('X-B: 1'); header('A-a: 2'); header('X-b: 3', false); header('Content-Type: text/plain'); header_remove('X-Powered-By'); echo 'x';`,
	"reason":             `header('HTTP/1.1 418 A pot of tea'); echo 'tea';`,
	"status":             `http_response_code(503); echo 'later';`,
	"status header":      `header('Status: 404 Nowhere'); echo 'x';`,
	"redirect":           `header('Location: /elsewhere');`,
	"cookies":            `setcookie('a', 'b'); setcookie('c', 'd; e'); echo 'x';`,
	"no content":         `http_response_code(204); echo 'dropped?';`,
	"not modified":       `http_response_code(304);`,
	"early hints status": `http_response_code(103); echo 'x';`,
	"Content-Length":     `header('Content-Length: 3'); echo 'hello';`,
	"short":              `header('Content-Length: 30'); echo 'hello';`,
	"chunked":            `header('Transfer-Encoding: chunked'); echo "5\r\nhello\r\n0\r\n\r\n";`,
	"invalid header":     `header('No colon'); header("X-Ctl: a\x01b"); echo 'x';`,
	"binary":             `header('Content-Type: application/octet-stream'); for ($i = 0; $i < 256; $i++) echo chr($i);`,
	"300 KB":             `echo str_repeat('0123456789', 30000);`,
	"100 KB of headers":  `for ($i = 0; $i < 1000; $i++) header("X-$i: " . str_repeat('v', 90)); echo 'x';`,
	"flushes":            `for ($i = 0; $i < 5; $i++) { echo "part $i\n"; flush(); }`,
	"body":               `echo strlen(file_get_contents('php://input')), md5(file_get_contents('php://input')), json_encode([$_POST, $_FILES, $_SERVER['CONTENT_LENGTH'] ?? null]);`,
	"one message":        `error_log('a message'); echo 'x';`,
	"warnings":           `echo $undefined; echo $also; echo 'x';`,
	"fatal error":        `echo 'before'; (function () { throw new Exception("two\nlines"); })();`,
	"exit":               `echo 'x'; exit(3);`,
	"error_get_last":     `echo $x; echo json_encode(error_get_last());`,
	"auth":               `echo json_encode([$_SERVER['PHP_AUTH_USER'] ?? null, $_SERVER['PHP_AUTH_PW'] ?? null]);`,
	"aborted":            `ignore_user_abort(true); echo connection_status();`,
	"getallheaders":      `echo json_encode(getallheaders());`,
}

const uploadForm = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\n\r\n\r\n" +
	"--B\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\nvalue\r\n--B--\r\n"

// listenerBodies are bodies and the variables about them. What differs is true where the
// body arrives whole, and php-fpm reads nothing of it.
var listenerBodies = []struct {
	body    string
	vars    []string
	differs bool
}{
	{body: "a=1&b=2", vars: []string{"CONTENT_LENGTH", "7", "CONTENT_TYPE", "application/x-www-form-urlencoded"}},
	{body: "a=1&b=2&c=3", vars: []string{"CONTENT_LENGTH", "7", "CONTENT_TYPE", "application/x-www-form-urlencoded"}},
	{body: "", vars: []string{"CONTENT_LENGTH", "", "CONTENT_TYPE", ""}},
	{body: "", vars: []string{"CONTENT_LENGTH", "0"}},
	{body: strings.Repeat("0123456789", 300000), vars: []string{"CONTENT_LENGTH", "3000000", "CONTENT_TYPE", "text/plain"}},
	{body: uploadForm, vars: []string{"CONTENT_LENGTH", strconv.Itoa(len(uploadForm)), "CONTENT_TYPE", "multipart/form-data; boundary=B"}},
	{body: "unknown length", vars: []string{"CONTENT_TYPE", "text/plain"}, differs: true},
	{body: strings.Repeat("x", 100000), vars: []string{"CONTENT_LENGTH", "", "CONTENT_TYPE", "text/plain"}, differs: true},
}

// The bytes that a web server gets are those of php-fpm, on new and kept connections.
func TestListener_ResponsesAreThoseOfPHPFPM(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.ByListener, harness.PlainSite)
	harness.StartFPM(t, s.Dir, s.Options)
	fpm, ours := filepath.Join(s.Dir, "fpm.sock"), filepath.Join(s.Dir, "listener.sock")
	both := func(t *testing.T, keep bool, body string, pairs ...string) (want, got harness.FastCGIResponse) {
		t.Helper()
		var res [2]harness.FastCGIResponse
		for i, address := range []string{fpm, ours} {
			c := harness.DialFastCGI(t, address)
			for range 2 {
				var err error
				if res[i], err = c.Do(keep, body, pairs...); err != nil {
					t.Fatalf("%s: %v", address, err)
				}
				if !keep {
					break
				}
			}
			if !keep {
				if _, _, content, err := c.ReadRecord(); err == nil {
					t.Errorf("%s: got %q after the end of the request", address, content)
				}
			}
			c.Close() // php-fpm's worker waits for that
		}
		return res[0], res[1]
	}
	for name, script := range listenerScripts {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(s.Site, strings.ReplaceAll(name, " ", "-")+".php")
			harness.WriteFile(t, file, "<?php\n"+script)
			for _, method := range []string{"GET", "HEAD", "POST"} {
				for _, keep := range []bool{false, true} {
					pairs := []string{"SCRIPT_FILENAME", file, "REQUEST_METHOD", method, "SCRIPT_NAME", "/x.php", "HTTP_AUTHORIZATION", "Basic YTpi", "HTTP_X_B", "1", "HTTP_A_A", "2"}
					want, got := both(t, keep, "", pairs...)
					if got.Stdout != want.Stdout || got.Stderr != want.Stderr || got.Status != want.Status {
						t.Errorf("%s, keep %v: got %q and %q, want %q and %q", method, keep, got.Stdout, got.Stderr, want.Stdout, want.Stderr)
					}
				}
			}
		})
	}
	for i, c := range listenerBodies {
		t.Run(fmt.Sprint("body ", i), func(t *testing.T) {
			pairs := append([]string{"SCRIPT_FILENAME", filepath.Join(s.Site, "body.php"), "REQUEST_METHOD", "POST", "SCRIPT_NAME", "/body.php"}, c.vars...)
			want, got := both(t, false, c.body, pairs...)
			if c.differs {
				if n := strconv.Itoa(len(c.body)); !strings.Contains(got.Stdout, "\r\n\r\n"+n) || !strings.Contains(got.Stdout, `"`+n+`"]`) {
					t.Errorf("got %q, want %s bytes", got.Stdout, n)
				}
				return
			}
			if got.Stdout != want.Stdout {
				t.Errorf("got %q, want %q", got.Stdout, want.Stdout)
			}
		})
	}
}

// Two workers serve any number of kept connections. With php-fpm, whose workers each
// serve one connection, the third one waits.
func TestListener_KeptConnectionsDoNotOccupyWorkers(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.ByListener, harness.PlainSite)
	for range 6 {
		c := harness.DialFastCGI(t, filepath.Join(s.Dir, "listener.sock"))
		res, err := c.Do(true, "", "SCRIPT_FILENAME", filepath.Join(s.Site, "hello.php"), "REQUEST_METHOD", "GET")
		if err != nil || !strings.HasSuffix(res.Stdout, "hello\n") {
			t.Fatalf("got %q, %v", res.Stdout, err)
		}
	}
}

func TestListener_PHPValues(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.ByListener, harness.PlainSite, harness.Options{Global: `php_pool {
		pool admin {
			workers 1
			ini memory_limit 64M
			ini display_errors 1
			admin_ini open_basedir {$SITE}:/tmp
		}
		fastcgi unix/{$DIR}/values.sock {
			pool admin
		}
	}`})
	for _, c := range []struct {
		value, admin string
		passes       bool
		logs         string
	}{
		{admin: "open_basedir=" + s.Site + ":/tmp", passes: true},
		{admin: " open_basedir = \"" + s.Site + ":/tmp\" \n", passes: true},
		{admin: "open_basedir=/", logs: "admin_ini open_basedir"},
		{admin: "open_basedir=" + s.Site + ":/tmp\nmemory_limit=64M", logs: "admin_ini memory_limit"}, // a script could change it
		{admin: "nonsense", logs: "not a setting"},
		{value: "memory_limit=64M\ndisplay_errors=on", passes: true},
		{value: "memory_limit=128M", passes: true, logs: "ini memory_limit"},
	} {
		res, err := harness.DialFastCGI(t, filepath.Join(s.Dir, "values.sock")).Do(false, "",
			"SCRIPT_FILENAME", filepath.Join(s.Site, "hello.php"), "REQUEST_METHOD", "GET", "PHP_VALUE", c.value, "PHP_ADMIN_VALUE", c.admin)
		if err != nil {
			t.Fatal(err)
		}
		if ran := strings.HasSuffix(res.Stdout, "hello\n"); ran != c.passes || !ran && !strings.HasPrefix(res.Stdout, "Status: 500 ") {
			t.Errorf("PHP_VALUE %q, PHP_ADMIN_VALUE %q: got %q", c.value, c.admin, res.Stdout)
		}
		if !c.passes && !strings.Contains(res.Stderr, c.logs) {
			t.Errorf("PHP_ADMIN_VALUE %q: the web server's log has %q, want %q", c.admin, res.Stderr, c.logs)
		}
		if c.logs != "" && !s.HasLogged(c.logs) {
			t.Errorf("the log lacks %q", c.logs)
		}
	}
}

// The options that say who may connect, and what may be run.
func TestListener_Access(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("needs root: owner changes the owner of a file")
	}
	s := harness.Prepare(t, harness.ByListener)
	stale, err := net.Listen("unix", filepath.Join(s.Dir, "owned.sock"))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close() // as of a process that was killed
	port := harness.FreePort(t)
	s.Options.Global = fmt.Sprintf(`php_pool {
		fastcgi unix/{$DIR}/owned.sock|0620 {
			owner www-data:daemon
			extensions .php .inc
			root {$SITE}/sub
			ping /ping fine
		}
		fastcgi unix/{$DIR}/plain.sock
		fastcgi unix/@%d
		fastcgi 127.0.0.1:%[1]d {
			allow 10.0.0.0/8
		}
	}`, port)
	if err := s.Run(harness.PlainSite); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"owned.sock": "33:1 -rw--w----", "plain.sock": "0:0 -rw-rw----"} {
		info, err := os.Stat(filepath.Join(s.Dir, path))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if got := fmt.Sprintf("%d:%d %v", st.Uid, st.Gid, info.Mode().Perm()); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	harness.WriteFile(t, filepath.Join(s.Site, "sub/part.inc"), "<?php echo 'part';")
	harness.WriteFile(t, filepath.Join(s.Site, "sub/text.txt"), "text")
	if err := os.Symlink("../hello.php", filepath.Join(s.Site, "sub/link.php")); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		"sub/index.php": "200", "sub/part.inc": "200", "sub/text.txt": "Status: 403", "hello.php": "Status: 403", "sub/../hello.php": "Status: 404", "sub/link.php": "Status: 403", "sub/none.php": "Status: 404",
	} {
		res, err := harness.DialFastCGI(t, filepath.Join(s.Dir, "owned.sock")).Do(false, "", "SCRIPT_FILENAME", s.Site+"/"+script, "REQUEST_METHOD", "GET")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(res.Stdout, want) && (want != "200" || strings.HasPrefix(res.Stdout, "Status")) {
			t.Errorf("%s: got %q, want %s", script, res.Stdout, want)
		}
	}
	if res, err := harness.DialFastCGI(t, filepath.Join(s.Dir, "owned.sock")).Do(false, "", "SCRIPT_NAME", "/ping", "REQUEST_METHOD", "GET"); err != nil || !strings.HasSuffix(res.Stdout, "\r\n\r\nfine") {
		t.Errorf("ping: got %q, %v", res.Stdout, err)
	}
	if res, err := harness.DialFastCGI(t, "@"+strconv.Itoa(port)).Do(false, "", "SCRIPT_FILENAME", s.Site+"/hello.php", "REQUEST_METHOD", "GET"); err != nil || !strings.HasSuffix(res.Stdout, "hello\n") {
		t.Errorf("abstract socket: got %q, %v", res.Stdout, err)
	}
	if res, err := harness.DialFastCGI(t, "127.0.0.1:"+strconv.Itoa(port)).Do(false, "", "SCRIPT_FILENAME", s.Site+"/hello.php", "REQUEST_METHOD", "GET"); err == nil {
		t.Errorf("an address that is not allowed got %q", res.Stdout)
	}
}
