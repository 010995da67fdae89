//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestAdminAPI_EscapedPoolName uses a pool name with all characters
// that have a meaning in a URL path.
func TestAdminAPI_EscapedPoolName(t *testing.T) {
	t.Parallel()
	const path = "/php_pool/pools/shop%2F1%2050%25%3F%23"
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				name "shop/1 50%?#"
				workers 2
			}
		}
	`)
	s.Get("/hello.php").Want(t, 200, "hello\n")
	var pool map[string]any
	if err := json.Unmarshal([]byte(s.Admin("GET", path, "").Text), &pool); err != nil {
		t.Fatal(err)
	}
	if pool["name"] != "shop/1 50%?#" {
		t.Errorf("got pool %v", pool["name"])
	}
	s.Admin("GET", path+"/status?json", "").WantContains(t, 200, `{"pool":"shop/1 50%?#","process manager":"static",`)
	s.Admin("GET", path+"/ping", "").Want(t, 200, "pong")
	s.Admin("POST", path+"/restart", "").WantContains(t, 200, `"generation":2`)

	for _, call := range []string{"", "/status", "/ping"} {
		res := s.Admin("POST", path+call, "{}")
		res.WantContains(t, http.StatusMethodNotAllowed, "use GET")
		if got := res.Header.Get("Allow"); got != "GET, HEAD" {
			t.Errorf("POST %s: got Allow: %q", call, got)
		}
		if res := s.Admin("HEAD", path+call, ""); res.StatusCode != 200 || res.Text != "" {
			t.Errorf("HEAD %s: got %d %q", call, res.StatusCode, res.Text)
		}
		s.Admin("GET", "/php_pool/pools/nobody"+call, "").WantContains(t, http.StatusNotFound, "there is no pool", "nobody")
	}
	s.Admin("GET", path+"/stat", "").WantContains(t, http.StatusNotFound, "unrecognized call", "ping", "status")
}

// TestAdminAPI_Fields checks each field by name and type.
func TestAdminAPI_Fields(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 2"))
	response := s.StartBlocked("wait.php")
	defer func() {
		s.Unblock()
		harness.WantUnblocked(t, response)
	}()
	var pool map[string]any
	if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &pool); err != nil {
		t.Fatal(err)
	}
	workers := pool["workers_list"].([]any)
	i := slices.IndexFunc(workers, func(w any) bool { return w.(map[string]any)["state"] == "busy" })
	if i < 0 {
		t.Fatalf("no worker is busy: %v", workers)
	}
	pool["worker"] = workers[i]
	const number, text, flag, list, object = 1.0, "", true, "list", "object"
	for field, want := range map[string]any{
		"name": text, "manager": text, "generation": number, "draining": flag,
		"php.version": text, "php.binary": text, "php.sapi": text, "php.zts": flag, "php.opcache": flag,
		"php.jit": flag, "php.features": list,
		"workers.total": number, "workers.idle": number, "workers.busy": number, "workers.draining": number,
		"workers.starting": number, "workers.max": number, "workers.preforked": number,
		"queue.length": number, "queue.max": number, "queue.wait_seconds_total": number,
		"requests.open": number, "requests.total": number, "requests.failed": number, "requests.rejected": number, "requests.timed_out": number, "requests.slow": number, "requests.retried": number,
		"exits": object, "launches": number, "restarts": number, "master_exits": number, "uptime_seconds": number, "memory_bytes": number, "memory_human": text,
		"worker.id": number, "worker.pid": number, "worker.state": text, "worker.generation": number,
		"worker.requests": number, "worker.uptime_seconds": number, "worker.idle_seconds": number,
		"worker.memory_bytes": number, "worker.memory_human": text, "worker.cpu_seconds": number,
		"worker.request.method": text, "worker.request.uri": text, "worker.request.script": text, "worker.request.duration_seconds": number,
	} {
		var value any = pool
		for name := range strings.SplitSeq(field, ".") {
			value = value.(map[string]any)[name]
		}
		kind := value
		switch value.(type) {
		case []any:
			kind = list
		case map[string]any:
			kind = object
		}
		if got, want := fmt.Sprintf("%T", kind), fmt.Sprintf("%T", want); got != want {
			t.Errorf("%s: got %v, want a %s", field, value, want)
		}
	}
	if sum := pool["memory_bytes"].(float64); sum < 1<<16 || sum > 1<<30 {
		t.Errorf("memory: got %v bytes for two workers", sum)
	}
	if got := pool["launches"]; got != 2.0 {
		t.Errorf("launches: got %v, want 2", got)
	}
}

// TestStatusPage_HidesQueryStrings checks that queries, which may contain passwords,
// are only shown where full_uri is set.
func TestStatusPage_HidesQueryStrings(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool_status /status
			php_pool_status /wide {
				full_uri
			}
			php_pool
		}
	`)
	response := s.StartBlocked("wait.php") // its query is file=hold
	defer func() {
		s.Unblock()
		harness.WantUnblocked(t, response)
	}()
	const admin = "/php_pool/pools/default"
	for _, c := range []struct {
		shown bool
		res   *harness.Response
	}{
		{false, s.Get("/status?full")},
		{false, s.Get("/status?full&full_uri")},
		{true, s.Get("/wide?full&json")},
		{false, s.Admin("GET", admin, "")},
		{true, s.Admin("GET", admin+"?full_uri", "")},
		{false, s.Admin("GET", admin+"/status?full", "")},
		{true, s.Admin("GET", admin+"/status?full&full_uri", "")},
	} {
		c.res.WantContains(t, 200, "/wait.php")
		if got := strings.Contains(c.res.Text, "/wait.php?file=hold"); got != c.shown {
			t.Errorf("%s: the query is shown: %v, want %v", c.res.Request.URL, got, c.shown)
		}
	}
}

// TestStatusPage_EscapesMarkup sends markup in a URI and checks it in every format.
func TestStatusPage_EscapesMarkup(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, statusSite, harness.Options{Workers: 1})
	req := s.Request("GET", "/hello.php?<script>alert(1)</script>", nil)
	req.URL.RawQuery = "<script>alert(1)</script>"
	s.Do(req).Want(t, 200, "hello\n")
	for format, want := range map[string]string{
		"html": "<td>/hello.php?&lt;script&gt;alert(1)&lt;/script&gt;</td>",
		"xml":  "<request-uri>/hello.php?&lt;script&gt;alert(1)&lt;/script&gt;</request-uri>",
		"json": `/hello.php?\u003cscript\u003ealert(1)\u003c/script\u003e"`,
		"":     "request URI:          /hello.php?<script>alert(1)</script>\n",
	} {
		res := s.Get("/fpm/status?full&" + format)
		res.WantContains(t, 200, want)
		if res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q: no X-Content-Type-Options: nosniff", format)
		}
	}
}

// TestPing removes php-cgi and kills the workers, and restores php-cgi.
func TestPing(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SingleLean)
	program, err := exec.LookPath("php-cgi")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(s.Dir, "php-cgi")
	harness.WriteFile(t, binary, harness.ReadFile(t, program))
	if err := os.Chmod(binary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(`
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool_ping /ping main
			php_pool_ping /wide main {
				allow 0.0.0.0/0
			}
			php_pool {
				name main
				spawn single
				workers 1
				binary {$DIR}/php-cgi
			}
		}
	`); err != nil {
		t.Fatal(err)
	}
	const admin = "/php_pool/pools/main/ping"
	becomes := func(status int) {
		t.Helper()
		harness.Eventually(t, func() error {
			for _, res := range []*harness.Response{s.Get("/ping"), s.Admin("GET", admin, "")} {
				if res.StatusCode != status {
					return fmt.Errorf("%s: got %d %q, want %d", res.Request.URL, res.StatusCode, res.Text, status)
				}
			}
			return nil
		})
	}
	becomes(200)
	s.Get("/ping").Want(t, 200, "pong")
	s.Get("/ping", "X-Forwarded-For: 127.0.0.1").Want(t, 403, "")
	s.Get("/wide", "X-Forwarded-For: 127.0.0.1").Want(t, 403, "") // not from a trusted proxy
	if res := s.Do(s.Request("POST", "/ping", nil)); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %d, Allow: %q", res.StatusCode, res.Header.Get("Allow"))
	}
	// A pool with only busy workers can still serve, after a wait.
	response := s.StartBlocked("wait.php")
	becomes(200)
	s.Unblock()
	harness.WantUnblocked(t, response)

	if err := os.Rename(binary, binary+".away"); err != nil {
		t.Fatal(err)
	}
	for _, w := range s.Pool().List {
		if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	becomes(503)
	if s.Get("/ping").Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.Admin("GET", admin, "").WantContains(t, 503, "pool main cannot serve", "php-cgi")
	if err := os.Rename(binary+".away", binary); err != nil {
		t.Fatal(err)
	}
	becomes(200)
}
