//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// check is one property of a server; its name is a sentence.
type check struct {
	name string
	run  func(*testing.T, *harness.Server)
}

// checkAll runs all checks on one server of each backend.
func checkAll(t *testing.T, forms []harness.Backend, o harness.Options, checks []check) {
	t.Helper()
	harness.ForEach(t, forms, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, o)
		for _, c := range checks {
			t.Run(c.name, func(t *testing.T) {
				// The server's helpers have to report to the subtest.
				own := *s
				own.T = t
				c.run(t, &own)
			})
			if _, gone := s.Wait(0); gone {
				t.Fatalf("caddy is gone after %q", c.name)
			}
		}
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	checkAll(t, append(slices.Clone(harness.AllBackends), harness.ByListener), harness.Options{}, []check{
		{"a script is executed", func(t *testing.T, s *harness.Server) {
			res := s.Get("/hello.php")
			res.Want(t, 200, "hello\n")
			if via := res.Header.Get("X-Via-Proxy"); (via != "") != (s.Backend.Proxy && !s.Backend.FPM && !s.Backend.Listener) {
				t.Errorf("X-Via-Proxy: got %q: the request used the wrong transport", via)
			}
		}},
		{"the index is found, and canonical", func(t *testing.T, s *harness.Server) {
			s.Get("/").Want(t, 200, "index /\n")
			s.Get("/sub/").Want(t, 200, "sub index /sub/index.php\n")
			res := s.Get("/sub?a=b")
			res.Want(t, 308, "")
			if to, err := res.Location(); err != nil || to.RequestURI() != "/sub/?a=b" {
				t.Errorf("Location: got %v, %v, want /sub/?a=b", to, err)
			}
		}},
		{"a path without a file is served by the index", func(t *testing.T, s *harness.Server) {
			s.Get("/pretty/url?x=1").Want(t, 200, "index /pretty/url?x=1\n")
		}},
		{"a static file is served by Caddy", func(t *testing.T, s *harness.Server) {
			res := s.Get("/page.html")
			res.Want(t, 200, "<p>a static page</p>\n")
			if res.Header.Get("X-Powered-By") != "" || res.Header.Get("Etag") == "" {
				t.Errorf("got the headers of PHP: %v", res.Header)
			}
		}},
		{"a range of a static file is served", func(t *testing.T, s *harness.Server) {
			res := s.Get("/page.html", "Range: bytes=3-10")
			res.Want(t, 206, "a static")
		}},
		{"an image is never executed, whatever follows its name", func(t *testing.T, s *harness.Server) {
			for _, path := range []string{"/uploads/img.jpg/x.php", "/uploads/img.jpg%00.php", "/uploads/img.jpg%00x.php", "/uploads/img.jpg/.php"} {
				if res := s.Get(path); strings.Contains(res.Text, "an image was run") && !strings.Contains(res.Text, "<?php") {
					t.Errorf("%s ran the image: %d %q", path, res.StatusCode, res.Text)
				}
			}
		}},
		{"the path behind a script is PATH_INFO", func(t *testing.T, s *harness.Server) {
			vars := s.Vars("/server.php/a%20b/c%C3%A9.php?q=1")
			for name, want := range map[string]string{
				"PATH_INFO":    "/a b/cé.php",
				"SCRIPT_NAME":  "/server.php",
				"REQUEST_URI":  "/server.php/a%20b/c%C3%A9.php?q=1",
				"QUERY_STRING": "q=1",
				"PHP_SELF":     "/server.php/a b/cé.php",
			} {
				if vars[name] != want {
					t.Errorf("%s: got %q, want %q", name, vars[name], want)
				}
			}
		}},
		{"PHP does not inherit Caddy's environment", func(t *testing.T, s *harness.Server) {
			res := s.Get("/env.php")
			res.Want(t, 200, "")
			if strings.Contains(res.Text, "never-for-php") {
				t.Errorf("PHP sees Caddy's environment: %s", res.Text)
			}
		}},
		{"a Proxy header and names with _ are dropped", func(t *testing.T, s *harness.Server) {
			vars := s.Vars("/server.php", "Proxy: http://evil.test", "X_Under: 1", "Remote_User: root", "X-Fine: 2")
			for _, name := range []string{"HTTP_PROXY", "HTTP_X_UNDER", "HTTP_REMOTE_USER"} {
				if got, ok := vars[name]; ok {
					t.Errorf("%s: got %q", name, got)
				}
			}
			if vars["HTTP_X_FINE"] != "2" {
				t.Errorf("HTTP_X_FINE: got %q, want 2", vars["HTTP_X_FINE"])
			}
		}},
		{"headers cannot set CGI variables", func(t *testing.T, s *harness.Server) {
			vars := s.Vars("/server.php", "Script-Filename: /etc/passwd", "Php-Value: auto_prepend_file=/etc/passwd", "Content-Length-X: 1")
			if got := filepath.Base(vars["SCRIPT_FILENAME"]); got != "server.php" {
				t.Errorf("SCRIPT_FILENAME: got %q", vars["SCRIPT_FILENAME"])
			}
			if _, ok := vars["PHP_VALUE"]; ok {
				t.Error("PHP_VALUE is set")
			}
		}},
		{"a GET has no CONTENT_LENGTH header", func(t *testing.T, s *harness.Server) {
			if s.Backend.Listener {
				return // php_fastcgi sends one
			}
			if got, ok := s.Vars("/server.php")["HTTP_CONTENT_LENGTH"]; ok {
				t.Errorf("HTTP_CONTENT_LENGTH: got %q", got)
			}
		}},
		{"several Cookie fields are one", func(t *testing.T, s *harness.Server) {
			if s.Backend.Listener {
				return // php_fastcgi joins them by commas
			}
			s.Get("/cookies.php", "Cookie: a=1; b=2", "Cookie: c=3").
				Want(t, 200, `{"line":"a=1; b=2; c=3","cookies":{"a":"1","b":"2","c":"3"}}`)
		}},
		{"all headers of a script arrive, repeated ones too", func(t *testing.T, s *harness.Server) {
			res := s.Get("/manyheads.php")
			res.Want(t, 200, "")
			if got := len(res.Header["X-Many"]); got != 500 {
				t.Errorf("X-Many: got %d, want 500", got)
			}
			if got := len(res.Cookies()); got != 2 {
				t.Errorf("got %d cookies, want 2", got)
			}
		}},
		{"Location alone is a 302", func(t *testing.T, s *harness.Server) {
			res := s.Get("/redirect.php")
			res.Want(t, 302, "")
			if got := res.Header.Get("Location"); got != "/hello.php" {
				t.Errorf("Location: got %q", got)
			}
		}},
		{"HEAD returns no body", func(t *testing.T, s *harness.Server) {
			res := s.Do(s.Request("HEAD", "/hello.php", nil))
			res.Want(t, 200, "")
			if res.Text != "" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
				t.Errorf("got body %q, Content-Type %q", res.Text, res.Header.Get("Content-Type"))
			}
		}},
		{"binary output arrives as it was sent", func(t *testing.T, s *harness.Server) {
			want := harness.Pattern(300_000)
			res := s.Do(s.Request("POST", "/echo.php", strings.NewReader(string(want)), "Content-Type: application/octet-stream"))
			res.Want(t, 200, string(want))
		}},
		{"a line on stderr of 200 KB is in the log, whole and with its request", func(t *testing.T, s *harness.Server) {
			s.Get("/stderr.php?n=200000").Want(t, 200, "logged\n")
			want := "start-" + strings.Repeat("e", 200_000) + "-end"
			harness.Eventually(t, func() error {
				for _, entry := range s.LogEntries() {
					if hasText(entry, want) && hasText(entry, "/stderr.php?n=200000") {
						return nil
					}
				}
				return errNoEntry
			})
		}},
		{"a script that PHP may not read is a 403 whose reason is logged", func(t *testing.T, s *harness.Server) {
			secret := filepath.Join(s.Site, "secret.php")
			harness.WriteFile(t, secret, "<?php echo 'secret';")
			harness.HideFromPHP(t, secret)
			if uid, _ := harness.CaddyUser(t); os.Getuid() != 0 || uid == harness.PHPUID(t) {
				// Caddy itself cannot read it either, but it exists: not so for php_fastcgi.
				if err := os.Chmod(secret, 0); err != nil {
					t.Fatal(err)
				}
				if s.Backend.Listener {
					s.Get("/secret.php").Want(t, 200, "index /secret.php\n")
					return
				}
			}
			s.Get("/secret.php").Want(t, 403, "")
			harness.Eventually(t, func() error {
				for _, entry := range s.LogEntries() {
					if hasText(entry, "secret.php") && (hasText(entry, "permission") || hasText(entry, "Permission denied")) {
						return nil
					}
				}
				return errNoEntry
			})
		}},
	})
}

var errNoEntry = constError("no such entry in caddy's log")

type constError string

func (e constError) Error() string { return string(e) }

// hasText reports whether any value of a log entry contains a text.
func hasText(value any, text string) bool {
	switch v := value.(type) {
	case string:
		return strings.Contains(v, text)
	case map[string]any:
		for _, item := range v {
			if hasText(item, text) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if hasText(item, text) {
				return true
			}
		}
	}
	return false
}
