//go:build linux

package e2e

import (
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestMaxPerClient sends many requests from one client, and some from others, which have
// to be served all the time.
func TestMaxPerClient(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		site := harness.PoolSite(b, "manager static", "workers 3", "max_per_client 1")
		trusted := harness.Options{Global: "servers {\ntrusted_proxies static 127.0.0.0/8\n}"}
		s := harness.Start(t, b, site, trusted)
		h := s.Hold("crawler")
		h.Add("")
		h.WaitRunning(1)
		h.Add("")
		s.WaitPool("one waits though two are idle", func(p harness.PoolStatus) bool {
			return p.Queue.Length == 1 && p.Workers.Idle == 2
		})
		wantTooManyRequests(t, s.Get("/hello.php"))
		for _, other := range []string{"198.51.100.7", "2001:db8::1", "2001:db8:0:1::1"} {
			s.Get("/hello.php", "X-Forwarded-For: "+other).Want(t, 200, "hello\n")
		}
		// A second request of the same IPv6 network waits, too.
		far := s.Hold("network")
		far.Header = "X-Forwarded-For: 2001:db8:0:2::1"
		far.Add("")
		far.WaitRunning(1)
		far.Header = "X-Forwarded-For: 2001:db8:0:2::2"
		far.Add("")
		s.WaitPool("one more waits", func(p harness.PoolStatus) bool { return p.Queue.Length == 2 })
		wantTooManyRequests(t, s.Get("/hello.php", "X-Forwarded-For: 2001:db8:0:2::3"))
		far.Release()
		far.Want(0, 200)
		far.Want(1, 200)

		// A client that disconnects occupies its worker until PHP is done.
		h.Cancel[0]()
		s.WaitPool("draining", func(p harness.PoolStatus) bool { return p.Workers.Draining == 1 })
		if p := s.Pool(); p.Queue.Length != 1 || p.Workers.Idle != 2 {
			t.Errorf("got %+v, want one still waiting", p)
		}
		wantTooManyRequests(t, s.Get("/hello.php"))
		h.Release()
		h.Want(1, 200)
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 3 && p.Queue.Length == 0 })
		if p := s.Pool(); p.Requests.Rejected != 3 || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want 3 rejected and none failed", p.Requests)
		}

		// X-Forwarded-For counts only from trusted proxies.
		s.Options.Global = ""
		if err := s.Reload(site); err != nil {
			t.Fatal(err)
		}
		h = s.Hold("liar")
		h.Add("")
		h.WaitRunning(1)
		h.Add("")
		s.WaitPool("one waits", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
		wantTooManyRequests(t, s.Get("/hello.php", "X-Forwarded-For: 198.51.100.8"))
		// Without the option all requests are served.
		if err := s.Reload(harness.PoolSite(b, "manager static", "workers 3")); err != nil {
			t.Fatal(err)
		}
		h.WaitRunning(2)
		s.Get("/hello.php").Want(t, 200, "hello\n")
		h.Release()
		h.Want(0, 200)
		h.Want(1, 200)
	})
}

// wantTooManyRequests checks for a 429 with Retry-After.
func wantTooManyRequests(t *testing.T, res *harness.Response) {
	t.Helper()
	res.Want(t, 429, "")
	if res.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
}
