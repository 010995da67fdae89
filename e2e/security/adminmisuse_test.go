//go:build linux

package security

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestAdminAPI_InvalidRequests checks the error of each, and that none has an effect.
func TestAdminAPI_InvalidRequests(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "max_workers 4", "min_workers 1"))
	s.Get("/hello.php").Want(t, 200, "hello\n")
	const pool = "/php_pool/pools/main"
	before := s.Pool()
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/php_pool/pools", "", 405, "use GET"},
		{"DELETE", pool, "", 405, "use GET"},
		{"GET", pool + "/restart", "", 405, "use POST"},
		{"GET", pool + "/scale", "", 405, "use POST"},
		{"PUT", pool + "/scale", "{}", 405, "use POST"},
		{"POST", pool + "/status", "", 405, "use GET"},
		{"GET", pool + "/drain", "", 405, "use DELETE or POST"},
		{"POST", pool + "/workers/1", "", 405, "use DELETE"},
		{"DELETE", pool + "/workers", "", 404, "no worker"},
		{"DELETE", pool + "/workers/x", "", 404, `no worker "x"`},
		{"DELETE", pool + "/workers/-1", "", 404, `no worker "-1"`},
		{"DELETE", pool + "/workers/99999999999999999999999", "", 404, "no worker"},
		{"GET", pool + "/workers/4711", "", 404, "no worker 4711"},
		{"GET", "/php_pool/pools/absent", "", 404, `no pool "absent"`},
		{"GET", "/php_pool/pools/", "", 404, `no pool ""`},
		{"GET", "/php_pool/pools/ma/in", "", 404, `unrecognized call "in"`},
		{"GET", "/php_pool/pools/ma%2Fin", "", 404, `no pool "ma/in"`},
		{"GET", "/php_pool/pools/..%2F..%2Fconfig", "", 404, "no pool"},
		{"GET", pool + "/nonsense", "", 404, "one of: drain, history, opcache, ping, restart, scale, status, workers"},
		{"POST", pool + "/scale", "", 400, "send JSON"},
		{"POST", pool + "/scale", "max_workers=8", 400, "send JSON"},
		{"POST", pool + "/scale", `{"max_workers": "8"}`, 400, "send JSON"},
		{"POST", pool + "/scale", `{"max_wrokers": 8}`, 400, "max_wrokers"},
		{"POST", pool + "/scale", `{"max_workers": -1}`, 400, "max_workers -1"},
		{"POST", pool + "/scale", `{"max_workers": 0}`, 400, "max_workers 0"},
		{"POST", pool + "/scale", `{"max_workers": 1e9}`, 400, "max_workers"},
		{"POST", pool + "/scale", `{"min_workers": 9}`, 400, "min_workers"},
		{"POST", pool + "/scale", `{"max_workers": ` + strings.Repeat(" ", 1<<20) + `8}`, 400, "too large"},
	} {
		res := s.Admin(c.method, c.path, c.body)
		var response struct{ Error string }
		if err := json.Unmarshal([]byte(res.Text), &response); err != nil || res.StatusCode != c.status || !strings.Contains(response.Error, c.says) {
			t.Errorf("%s %s %.40s: got status %d: %.300s; want %d and %q", c.method, c.path, c.body, res.StatusCode, res.Text, c.status, c.says)
		}
	}
	after := s.Pool()
	if after.Workers != before.Workers || after.Generation != before.Generation {
		t.Errorf("got %+v, want no change: %+v", after, before)
	}
}

// TestAdminAPI_ConcurrentScrapes reads everything from the admin API without a pause,
// during requests and restarts. (A reload would close the connections, because Caddy
// replaces the admin endpoint.)
func TestAdminAPI_ConcurrentScrapes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 2"))
	end := time.Now().Add(2 * time.Second)
	var wg sync.WaitGroup
	during := func(what func()) {
		wg.Go(func() {
			for time.Now().Before(end) {
				what()
			}
		})
	}
	for _, path := range []string{
		"/php_pool/pools", "/php_pool/pools/main", "/php_pool/pools/main/workers", "/php_pool/pools/main/status?json&full",
		"/php_pool/pools/main/opcache", "/metrics", "/php_pool/?live",
	} {
		during(func() {
			if res := s.Admin("GET", path, ""); res.StatusCode != http.StatusOK || res.Text == "" {
				t.Errorf("%s: got status %d: %.300s", path, res.StatusCode, res.Text)
			}
		})
	}
	served := 0
	during(func() {
		s.Get("/hello.php").Want(t, 200, "hello\n")
		served++
	})
	during(func() {
		s.Admin("POST", "/php_pool/pools/main/restart", "").WantContains(t, http.StatusOK, `"name":"main"`)
	})
	wg.Wait()
	// None of this counts as a request of the pool.
	if p := s.Pool(); p.Requests.Total != served || p.Requests.Failed != 0 || p.Exits["crashed"] != 0 {
		t.Errorf("got %+v after %d requests", p, served)
	}
}
