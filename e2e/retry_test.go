//go:build linux

package e2e

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// Requests that the pool cannot retry safely, and so does not.

func TestRetry_UnsafeRequestsAreNotRetried(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "quarantine off"))
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			for name, body := range map[string]string{"empty": "", "small": "a=b", "spooled": strings.Repeat("x", 200000)} {
				h := s.Hold(method + "-" + name)
				response := make(chan *harness.Response, 1)
				req := s.Request(method, "/load/hold.php?file="+h.Name, strings.NewReader(body))
				go func() { response <- s.Do(req) }()
				_, pids := h.WaitRunning(1)
				harness.Kill(t, pids[0], syscall.SIGKILL)
				(<-response).Want(t, http.StatusBadGateway, "")
				h.Release()
				if got := h.Lines("ran"); len(got) != 1 {
					t.Errorf("%s with a body that is %s was run as %q, want once", method, name, got)
				}
				// No worker may get it later.
				s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
				if got := h.Lines("ran"); len(got) != 1 {
					t.Errorf("%s with a body that is %s was run as %q, want once", method, name, got)
				}
			}
		}
		if p := s.Pool(); p.Requests.Retried != 0 || p.Requests.Failed != 12 {
			t.Errorf("got %+v, want 12 failed and none retried", p.Requests)
		}
	})
}

func TestRetry_StartedResponsesAreNotRetried(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "quarantine off"))
		for _, method := range []string{"GET", "POST"} {
			h := s.Hold(method)
			res, err := s.Client.Do(s.Request(method, "/load/hold.php?file="+h.Name+"&write=1", strings.NewReader("")))
			if err != nil {
				t.Fatal(err)
			}
			_, pids := h.WaitRunning(1)
			harness.Kill(t, pids[0], syscall.SIGKILL)
			if _, err := io.Copy(io.Discard, res.Body); err == nil || res.StatusCode != 200 {
				t.Errorf("%s: got %s and error %v, want a truncated response", method, res.Status, err)
			}
			res.Body.Close()
			s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
			if got := h.Lines("ran"); len(got) != 1 {
				t.Errorf("%s was run as %q, want once", method, got)
			}
		}
	})
}

func TestRetry_OnlyOnce(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 3", "quarantine off"))
		h := s.Hold("twice")
		h.Add("")
		for n := 1; n <= 2; n++ {
			_, pids := h.WaitRunning(n)
			harness.Kill(t, pids[n-1], syscall.SIGKILL)
		}
		h.Want(0, http.StatusBadGateway)
		s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 3 })
		if got := h.Lines("ran"); len(got) != 2 {
			t.Errorf("it was run as %q, want twice", got)
		}
	})
}
