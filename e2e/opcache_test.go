//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// opcacheStatus is the status of a pool's OPcache in the admin API.
type opcacheStatus struct {
	Available  bool
	Reason     string
	Age        *float64 `json:"age_seconds"`
	Scope      string
	PID        int
	Generation int
	Enabled    bool
	Full       bool
	Hits       int
	Misses     int
	HitRate    float64 `json:"hit_rate"`
	Human      string  `json:"hit_rate_human"`
	Scripts    int
	Keys       int
	MaxKeys    int `json:"max_keys"`
	Memory     struct {
		Total  int64  `json:"total_bytes"`
		Used   int64  `json:"used_bytes"`
		Free   int64  `json:"free_bytes"`
		Wasted int64  `json:"wasted_bytes"`
		Human  string `json:"total_human"`
	}
	Strings  struct{ Count int } `json:"interned_strings"`
	Restarts struct {
		Manual  int
		Pending bool
	}
	JIT struct {
		Enabled bool
		On      bool
		Size    int64 `json:"buffer_size_bytes"`
		Free    int64 `json:"buffer_free_bytes"`
	}
	Realpath struct {
		Used int64 `json:"used_bytes"`
		Max  int64 `json:"max_bytes"`
	} `json:"realpath_cache"`
	Configuration map[string]any
}

const opcachePath = "/php_pool/pools/main/opcache"

// opcache returns the status of the OPcache of the pool main.
func opcache(s *harness.Server) opcacheStatus {
	s.T.Helper()
	res := s.Admin("GET", opcachePath, "")
	var o opcacheStatus
	if err := json.Unmarshal([]byte(res.Text), &o); err != nil || res.StatusCode != http.StatusOK {
		s.T.Fatalf("the OPcache's state: %s: %s (%v)", res.Status, res.Text, err)
	}
	return o
}

// waitOPcache waits until a sample satisfies a condition. There is a new one every ten
// seconds.
func waitOPcache(s *harness.Server, what string, is func(opcacheStatus) bool) opcacheStatus {
	s.T.Helper()
	var o opcacheStatus
	harness.Eventually(s.T, func() error {
		if o = opcache(s); !is(o) {
			return fmt.Errorf("the OPcache is not %s: %+v", what, o)
		}
		return nil
	})
	return o
}

// resetResult is the response to a reset.
type resetResult struct {
	WorkersReset int `json:"workers_reset"`
	Deferred     int
	OPcache      opcacheStatus
}

func resetOPcache(s *harness.Server) resetResult {
	s.T.Helper()
	res := s.Admin("DELETE", opcachePath, "")
	var c resetResult
	if err := json.Unmarshal([]byte(res.Text), &c); err != nil || res.StatusCode != http.StatusOK {
		s.T.Fatalf("the reset: %s: %s (%v)", res.Status, res.Text, err)
	}
	return c
}

// freshFiles lets OPcache cache files that were just written, and nothing of php_pool.
const freshFiles = "ini opcache.file_update_protection 0\nfinish_request off"

// scopes are the scopes of an OPcache by spawn mode.
var scopes = map[string]string{harness.SharedLean.Name: "pool", harness.SingleLean.Name: "worker"}

// TestOPcache_Status checks an empty cache, and one with two scripts, of which one is
// used often.
func TestOPcache_Status(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "workers 2", freshFiles, "ini opcache.jit_buffer_size 16M", "ini opcache.jit tracing",
			"ini opcache.memory_consumption 64", "ini opcache.max_accelerated_files 5000", "ini realpath_cache_size 2M"))
		empty := opcache(s)
		if !empty.Available || !empty.Enabled || empty.Scope != scopes[b.Name] || empty.Age == nil || empty.Generation != 1 {
			t.Fatalf("got %+v, want a sample", empty)
		}
		if empty.Scripts != 0 || empty.Hits != 0 || empty.Misses != 0 || empty.HitRate != 0 {
			t.Errorf("got %+v before any script ran, want an empty cache: a query does not count", empty)
		}
		if m := empty.Memory; m.Total != 64*harness.MiB || m.Used <= 0 || m.Free <= 0 || m.Wasted != 0 || m.Human != "64 MiB" {
			t.Errorf("got %+v, want 64 MiB", m)
		}
		if j := empty.JIT; !j.Enabled || !j.On || j.Size < 15*harness.MiB || j.Free <= 0 || j.Free > j.Size {
			t.Errorf("got %+v, want a JIT with 16 MiB", j)
		}
		for name, want := range map[string]any{
			"memory_consumption_bytes": float64(64 * harness.MiB), "max_accelerated_files": 5000.0, "validate_timestamps": true,
			"revalidate_freq_seconds": 2.0, "jit": "tracing", "jit_buffer_size_bytes": float64(16 * harness.MiB),
			"interned_strings_buffer_bytes": float64(8 * harness.MiB),
		} {
			if got := empty.Configuration[name]; got != want {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		if empty.Strings.Count == 0 || empty.MaxKeys < 5000 || empty.Realpath.Max != 2*harness.MiB {
			t.Errorf("got %+v, want strings, room for 5000 keys, 2 MiB of paths", empty)
		}

		const requests = 10
		for range requests - 1 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
		s.Get("/pid.php")
		full := waitOPcache(s, "filled", func(o opcacheStatus) bool { return o.Scripts > 0 })
		if full.Scripts != 2 || full.Misses != 2 || full.Hits != requests-2 || full.HitRate != 0.8 || full.Human != "80%" {
			t.Errorf("got %+v, want 2 scripts, of 10 requests 8 hits", full)
		}
		if full.Memory.Used <= empty.Memory.Used || full.Keys < 2 {
			t.Errorf("got %+v, want more memory used than %+v", full.Memory, empty.Memory)
		}
		p := s.Pool()
		served := 0
		for _, w := range p.List {
			served += w.Requests
		}
		if p.Requests.Total != requests || served != requests || len(p.Exits) != 0 {
			t.Errorf("got %+v, want %d requests: queries do not count", p, requests)
		}
	})
}

// TestOPcache_Reset resets the cache of an idle pool.
func TestOPcache_Reset(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "workers 2", freshFiles))
		caches := 1
		if b.Name == harness.SingleLean.Name {
			caches = 2
		}
		for manual := range 2 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
			c := resetOPcache(s)
			o := c.OPcache
			if c.WorkersReset != caches || c.Deferred != 0 {
				t.Errorf("got %+v, want %d caches reset", c, caches)
			}
			if !o.Available || !o.Enabled || o.Scripts != 0 || o.Restarts.Manual != manual+1 || o.Restarts.Pending {
				t.Errorf("got %+v, want an empty cache that was reset %d times", o, manual+1)
			}
			if now := opcache(s); now.Restarts != o.Restarts || now.Scripts != 0 {
				t.Errorf("got %+v after the reset, want what the response said: %+v", now, o)
			}
		}
		p := s.Pool()
		if p.Requests.Total != 2 || len(p.Exits) != 0 || p.Generation != 1 {
			t.Errorf("got %+v, want 2 requests and the same workers", p)
		}
	})
}

// TestOPcache_ResetWhileBusy resets a cache in use. PHP delays the reset of a shared
// cache; a worker with its own cache is replaced.
func TestOPcache_ResetWhileBusy(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "workers 2", freshFiles))
		h := s.Hold("running")
		h.Add("")
		h.WaitRunning(1)
		c := resetOPcache(s)
		if b.Name == harness.SingleLean.Name {
			if c.WorkersReset != 1 || c.Deferred != 1 {
				t.Errorf("got %+v, want one reset and one worker to be replaced", c)
			}
			h.Release()
			h.Want(0, 200)
			s.WantExits(map[string]int{"recycled": 1})
			return
		}
		if o := c.OPcache; c.WorkersReset != 1 || c.Deferred != 0 || !o.Restarts.Pending || o.Enabled {
			t.Errorf("got %+v, want a reset that is pending", c)
		}
		h.Release()
		h.Want(0, 200)
		waitOPcache(s, "emptied", func(o opcacheStatus) bool {
			s.Get("/hello.php").Want(t, 200, "hello\n") // the first request without a concurrent one resets it
			return o.Enabled && !o.Restarts.Pending && o.Restarts.Manual == 1
		})
		s.WantExits(map[string]int{})
	})
}

// TestOPcache_BusyPoolShowsLastSample checks that a pool without an idle worker shows
// its last sample and the age of it.
func TestOPcache_BusyPoolShowsLastSample(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1", freshFiles))
	first := s.Hold("first")
	first.Add("")
	first.WaitRunning(1)
	if o := opcache(s); o.Available || o.Reason != "no worker is idle" || o.Age != nil {
		t.Errorf("got %+v without a sample, want the reason", o)
	}
	res := s.Admin("DELETE", opcachePath, "")
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(res.Text, "no worker is idle") {
		t.Errorf("resetting: got %s %s, want 503 and why", res.Status, res.Text)
	}
	first.Release()
	first.Want(0, 200)
	sample := waitOPcache(s, "sampled", func(o opcacheStatus) bool { return o.Available })
	if sample.Scripts != 1 || sample.Reason != "" {
		t.Errorf("got %+v, want one script", sample)
	}
	second := s.Hold("second")
	second.Add("")
	second.WaitRunning(1)
	old := waitOPcache(s, "too old", func(o opcacheStatus) bool { return o.Reason != "" })
	if !old.Available || *old.Age < 10 || old.Reason != "no worker is idle" || old.Scripts != sample.Scripts {
		t.Errorf("got %+v, want the sample of before, 10 s old", old)
	}
	if q := s.Pool().Queue; q.Length != 0 {
		t.Errorf("got %+v, want an empty queue", q)
	}
}

// TestOPcache_NewGenerationIsSampledAtOnce checks that the sample of an old generation
// is not shown.
func TestOPcache_NewGenerationIsSampledAtOnce(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 2", freshFiles))
	s.Get("/hello.php").Want(t, 200, "hello\n")
	if o := opcache(s); o.Scripts != 1 {
		t.Fatalf("got %+v, want one script", o)
	}
	if res := s.Admin("POST", "/php_pool/pools/main/restart", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, res.Text)
	}
	if o := opcache(s); !o.Available || o.Generation != 2 || o.Scripts != 0 {
		t.Errorf("got %+v, want the empty cache of generation 2", o)
	}
	if res := s.Admin("POST", "/php_pool/pools/main/restart", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, res.Text)
	}
	h := s.Hold("busy")
	h.Add("")
	h.Add("")
	h.WaitRunning(2)
	if o := opcache(s); o.Available || o.Reason != "no worker is idle" {
		t.Errorf("got %+v, want no sample of an old generation", o)
	}
}

// TestOPcache_IdlePoolIsNotStarted checks that neither a query nor a reset starts
// PHP.
func TestOPcache_IdlePoolIsNotStarted(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager ondemand", "max_workers 2", "idle_timeout 1s", "master_idle_timeout 1s"))
		harness.Eventually(t, func() error {
			if left := s.PHPProcesses(); len(left) > 0 {
				return fmt.Errorf("%d processes of an idle pool: %v", len(left), left)
			}
			return nil
		})
		before := s.Pool()
		if o := opcache(s); o.Available || o.Reason != "no worker is running" {
			t.Errorf("got %+v, want no sample and why", o)
		}
		res := s.Admin("DELETE", opcachePath, "")
		if res.StatusCode != http.StatusConflict || !strings.Contains(res.Text, "no worker is running") {
			t.Errorf("resetting: got %s %s, want 409 and why", res.Status, res.Text)
		}
		if left := s.PHPProcesses(); len(left) > 0 {
			t.Errorf("processes were started: %v", left)
		}
		if after := s.Pool(); after.Generation != before.Generation || after.Workers != before.Workers {
			t.Errorf("got %+v, want the state before: %+v", after, before)
		}
		// After a request it is sampled, and still stops when idle.
		s.Get("/hello.php").Want(t, 200, "hello\n")
		if o := opcache(s); !o.Available {
			t.Errorf("got %+v, want a sample", o)
		}
		harness.Eventually(t, func() error {
			if o := opcache(s); o.Available {
				return fmt.Errorf("got %+v, want none from an idle pool", o)
			}
			return nil
		})
	})
}

// TestOPcache_InvalidCalls checks the errors of wrong methods and names.
func TestOPcache_InvalidCalls(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1"))
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		res := s.Admin(method, opcachePath, "")
		if allow := res.Header.Get("Allow"); res.StatusCode != http.StatusMethodNotAllowed || allow != "DELETE, GET, HEAD" {
			t.Errorf("%s: got %s, Allow %q", method, res.Status, allow)
		}
	}
	if res := s.Admin("GET", "/php_pool/pools/none/opcache", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("of no pool: got %s", res.Status)
	}
	if o := opcache(s); o.Restarts.Manual != 0 {
		t.Errorf("got %+v, want nothing reset", o)
	}
	if left, err := filepath.Glob(s.Dir + "/*/php_pool-*"); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v; want none of our files near the site", left, err)
	}
}
