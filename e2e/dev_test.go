//go:build linux

package e2e

import (
	"bufio"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// devScripts are the pages of an application that is being worked on.
var devScripts = map[string]string{
	"page.php":    `<?php header('ETag: "1"'); echo "<!doctype html><p>page", $undefined, "</p>";`,
	"json.php":    `<?php header('Content-Type: application/json'); echo '{"a":1}', $undefined;`,
	"fail.php":    "<?php\nfunction fail() {\n\tthrow new LogicException('<no> luck');\n}\nfail();\n",
	"killed.php":  `<?php posix_kill(getmypid(), SIGKILL); sleep(60);`,
	"written.php": `<?php http_response_code(500); echo "<p>our own page</p>";`,
}

// devSite writes the application and returns its site.
func devSite(s *harness.Server, b harness.Backend, lines ...string) string {
	for name, text := range devScripts {
		harness.WriteFile(s.T, filepath.Join(s.Site, name), text)
	}
	return harness.PoolSite(b, append([]string{
		"ini display_errors 0", "ini log_errors 1", `ini error_log ""`, "ini opcache.revalidate_freq 0", "workers 2",
	}, lines...)...)
}

var asBrowser = []string{"Accept: text/html,*/*;q=0.8", "Sec-Fetch-Dest: document"}

// TestDev_Pages shows messages and errors to the developer alone, directly and through
// reverse_proxy, and also without the log of capture_stderr.
func TestDev_Pages(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]string{"direct": "", "reverse_proxy": "header_down X-A b", "response_buffers": "response_buffers 1MiB\ncapture_stderr off"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Prepare(t, harness.SharedLean)
			if err := s.Run(devSite(s, harness.SharedLean, "dev", option)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(s.Site, "page.php")
			s.Get("/page.php", asBrowser...).WantContains(t, 200, "<p>page</p>\n<script src=", "Undefined variable $undefined in "+file+" on line 1")
			s.Get("/json.php", asBrowser...).Want(t, 200, `{"a":1}`)
			s.Get("/fail.php", asBrowser...).WantContains(t, 500, "<h1>500 Internal Server Error</h1>", "Uncaught LogicException: &lt;no&gt; luck",
				`<tr class="wrong"><td>3</td>`, "function fail()")
			s.Get("/fail.php", "Accept: application/json").WantContains(t, 500, `{"error":"500 Internal Server Error","messages":["Fatal error: Uncaught LogicException`)
			s.Get("/written.php", asBrowser...).WantContains(t, 500, "<p>our own page</p>\n<script")
			s.Get("/killed.php", asBrowser...).WantContains(t, 502, "<h1>502 Bad Gateway</h1>", "signal: killed")
			s.Get("/.well-known/php_pool/dev.js").WantContains(t, 200, "EventSource")

			// A visitor, who comes through a proxy, gets what PHP has sent.
			visitor := append([]string{"X-Forwarded-For: 192.0.2.1"}, asBrowser...)
			page := s.Get("/page.php", visitor...)
			page.Want(t, 200, "<!doctype html><p>page</p>")
			if page.Header.Get("Etag") != `"1"` {
				t.Errorf("got the header %v", page.Header)
			}
			s.Get("/fail.php", visitor...).Want(t, 500, "")
			s.Get("/.well-known/php_pool/dev.js", visitor...).WantContains(t, 200, "index /.well-known/php_pool/dev.js")
		})
	}
}

// changes are the events that a browser gets.
type changes struct {
	t      *testing.T
	body   *http.Response
	events *bufio.Scanner
}

func waitForChanges(t *testing.T, s *harness.Server) *changes {
	t.Helper()
	page := s.Get("/page.php", asBrowser...).Text
	_, version, _ := strings.Cut(page, `data-version="`)
	version, _, _ = strings.Cut(version, `"`)
	res, err := s.Client.Do(s.Request("GET", "/.well-known/php_pool/dev/changes?version="+version, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	c := &changes{t, res, bufio.NewScanner(res.Body)}
	if got := c.next("retry: "); got != "300" {
		t.Fatalf("got %q", got)
	}
	return c
}

// next returns the rest of the next line that begins so; empty at the end.
func (c *changes) next(prefix string) string {
	for c.events.Scan() {
		if rest, ok := strings.CutPrefix(c.events.Text(), prefix); ok {
			return rest
		}
	}
	return ""
}

func (c *changes) want(event string) {
	c.t.Helper()
	if got := c.next("event: "); got != event {
		c.t.Errorf("got the event %q, want %q", got, event)
	}
}

// TestDev_Changes tells the browser about changed files, also of an application in memory,
// and when its config is replaced. Caddy waits for no browser when it stops.
func TestDev_Changes(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean)
	worker := filepath.Join(s.Site, "worker.php")
	const text = `<?php while (frankenphp_handle_request(function () { header('Content-Type: text/html'); echo "first"; }));`
	harness.WriteFile(t, worker, text)
	harness.WriteFile(t, filepath.Join(s.Site, "app.css"), "p {}")
	site := devSite(s, harness.SharedLean, "dev", "worker "+worker+" {\nnum 1\nwatch\n}")
	if err := s.Run(site); err != nil {
		t.Fatal(err)
	}
	c := waitForChanges(t, s)
	harness.WriteFile(t, filepath.Join(s.Site, "app.css"), "p { color: red }")
	c.want("style")
	harness.ReplaceFile(t, filepath.Join(s.Site, "page.php"), `<?php header('Content-Type: text/html'); echo "changed";`, 0o644)
	c.want("reload")
	s.Get("/page.php", asBrowser...).WantContains(t, 200, "changed\n<script")

	s.Get("/worker.php").Want(t, 200, "first")
	harness.WriteFile(t, worker, strings.Replace(text, "first", "second", 1))
	c.want("reload") // the file
	c.want("reload") // the new generation
	s.Get("/worker.php").Want(t, 200, "second")

	s.MustReload(strings.Replace(site, "workers 2", "workers 3", 1))
	if rest := c.next("event"); rest != "" {
		t.Errorf("got an event %q", rest)
	}
	s.AwaitListener()
	c = waitForChanges(t, s)
	s.Stop(syscall.SIGTERM)
	if rest := c.next("event"); rest != "" {
		t.Errorf("got an event %q", rest)
	}
}

// TestDev_PublicSite is refused, unless it is forced. A reload leaves the old config.
func TestDev_PublicSite(t *testing.T) {
	t.Parallel()
	const site = `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				name main
				workers 1
			}
		}
		http://shop.example.com:{$PORT} {
			root {$SITE}
			php_pool {
				name shop
				workers 1
				%s
			}
		}
	`
	with := func(option string) string { return strings.Replace(site, "%s", option, 1) }
	s := harness.Start(t, harness.SharedLean, with(""))
	err := s.Reload(with("dev"))
	if err == nil || !strings.Contains(err.Error(), "shop.example.com is a public name: remove dev from its php_pool, or write dev force") {
		t.Errorf("got %v", err)
	}
	s.AwaitListener()
	s.Get("/hello.php").WantContains(t, 200)
	s.MustReload(with("dev force"))
	s.MustReload(strings.Replace(with("dev"), "shop.example.com", "shop.localhost", 1))
	err = s.Reload(with("dev 10.0.0.0/99"))
	if err == nil || !strings.Contains(err.Error(), "dev 10.0.0.0/99: write an IP address") {
		t.Errorf("got %v", err)
	}
}
