//go:build linux

package e2e

import (
	"testing"
)

// TestOneClientCannotTakeThePool has a crawler, and others who are served all
// the time.
func TestOneClientCannotTakeThePool(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		site := poolSite(b, "manager static", "workers 3", "max_per_client 1")
		trusted := options{global: "servers {\ntrusted_proxies static 127.0.0.0/8\n}"}
		s := start(t, b, site, trusted)
		h := s.hold("crawler")
		h.add("")
		h.ran(1)
		h.add("")
		s.poolBecomes("one waits though two are idle", func(p poolStatus) bool {
			return p.Queue.Length == 1 && p.Workers.Idle == 2
		})
		wantTooMany(t, s.get("/hello.php"))
		for _, other := range []string{"198.51.100.7", "2001:db8::1", "2001:db8:0:1::1"} {
			s.get("/hello.php", "X-Forwarded-For: "+other).want(t, 200, "hello\n")
		}
		// The second one of a network waits as the second one of an address does.
		far := s.hold("network")
		far.header = "X-Forwarded-For: 2001:db8:0:2::1"
		far.add("")
		far.ran(1)
		far.header = "X-Forwarded-For: 2001:db8:0:2::2"
		far.add("")
		s.poolBecomes("one more waits", func(p poolStatus) bool { return p.Queue.Length == 2 })
		wantTooMany(t, s.get("/hello.php", "X-Forwarded-For: 2001:db8:0:2::3"))
		far.release()
		far.want(0, 200)
		far.want(1, 200)

		// Who leaves holds his worker until PHP has ended.
		h.cancel[0]()
		s.poolBecomes("draining", func(p poolStatus) bool { return p.Workers.Draining == 1 })
		if p := s.pool(); p.Queue.Length != 1 || p.Workers.Idle != 2 {
			t.Errorf("got %+v, want one still waiting", p)
		}
		wantTooMany(t, s.get("/hello.php"))
		h.release()
		h.want(1, 200)
		s.poolBecomes("idle", func(p poolStatus) bool { return p.Workers.Idle == 3 && p.Queue.Length == 0 })
		if p := s.pool(); p.Requests.Refused != 3 || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want 3 refused and none failed", p.Requests)
		}

		// Nobody is believed who is no trusted proxy.
		s.opts.global = ""
		if err := s.reload(site); err != nil {
			t.Fatal(err)
		}
		h = s.hold("liar")
		h.add("")
		h.ran(1)
		h.add("")
		s.poolBecomes("one waits", func(p poolStatus) bool { return p.Queue.Length == 1 })
		wantTooMany(t, s.get("/hello.php", "X-Forwarded-For: 198.51.100.8"))
		// Without the option all go on.
		if err := s.reload(poolSite(b, "manager static", "workers 3")); err != nil {
			t.Fatal(err)
		}
		h.ran(2)
		s.get("/hello.php").want(t, 200, "hello\n")
		h.release()
		h.want(0, 200)
		h.want(1, 200)
	})
}

// wantTooMany checks that a client is told that it asks too much.
func wantTooMany(t *testing.T, res *response) {
	t.Helper()
	res.want(t, 429, "")
	if res.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
}
