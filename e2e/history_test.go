//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestHistory reads what a pool has done, by the admin API and as the status page does. A
// reload keeps it, a restart is in it, and a pool without requests has none.
func TestHistory(t *testing.T) {
	t.Parallel()
	const site = `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				name main
				workers %d
			}
			php_pool_status /status
		}
		http://127.0.0.1:{$PORT2} {
			root {$SITE}
			php_pool {
				name unused
			}
		}
	`
	s := harness.Start(t, harness.SharedLean, fmt.Sprintf(site, 2))
	type history struct {
		Time, Requests, Failed, Crashed, Busy, Max, Generation []int64
		P95                                                    []float64 `json:"p95_seconds"`
		MemoryBytes                                            []int64   `json:"memory_bytes"`
	}
	read := func(path string) (h history) {
		t.Helper()
		res := s.Admin("GET", "/php_pool/pools/"+path, "")
		res.WantContains(t, 200)
		if err := json.Unmarshal([]byte(res.Text), &h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	sum := func(list []int64) (n int64) {
		for _, v := range list {
			n += v
		}
		return n
	}
	for range 5 {
		s.Get("/hello.php").WantContains(t, 200)
	}
	var h history
	harness.Eventually(t, func() error {
		if h = read("main/history"); sum(h.Requests) != 5 {
			return fmt.Errorf("got %v requests, want 5", h.Requests)
		}
		return nil
	})
	last := len(h.Time) - 1
	if h.Max[last] != 2 || h.Generation[last] != 1 || h.MemoryBytes[last] <= 0 || h.P95[0] <= 0 || sum(h.Failed)+sum(h.Crashed) != 0 {
		t.Errorf("got %+v", h)
	}
	s.MustReload(fmt.Sprintf(site, 3))
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	generation := int64(s.PoolNamed("main").Generation)
	harness.Eventually(t, func() error {
		h = read("main/history")
		if n := len(h.Time); sum(h.Requests) != 5 || h.Max[n-1] != 3 || h.Generation[n-1] != generation {
			return fmt.Errorf("got %+v, generation %d", h, generation)
		}
		return nil
	})
	if got := read(fmt.Sprint("main/history?since=", h.Time[0])); len(got.Time) < len(h.Time)-1 || got.Time[0] <= h.Time[0] {
		t.Errorf("since the first point: got %v of %v", got.Time, h.Time)
	}
	if h := read("unused/history"); len(h.Time) != 0 {
		t.Errorf("got %+v", h)
	}
	s.Admin("GET", "/php_pool/pools/main/history?since=yesterday", "").WantContains(t, 400, "since=yesterday: write a time in seconds since 1970")
	if text := s.Get("/status?history&since=0").Text; !strings.HasPrefix(text, `{"main":{"interval_seconds":5,`) || strings.Contains(text, "unused") {
		t.Errorf("got %s", text)
	}
}
