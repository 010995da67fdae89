//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// stops are the ways to stop Caddy.
var stops = map[string]func(*testing.T, *harness.Server){
	"SIGTERM": func(_ *testing.T, s *harness.Server) { s.Signal(syscall.SIGTERM) },
	"SIGINT":  func(_ *testing.T, s *harness.Server) { s.Signal(syscall.SIGINT) },
	"caddy stop": func(t *testing.T, s *harness.Server) {
		// It returns when Caddy has stopped.
		harness.Supervise(t, s.Command("stop", "--address", "unix/"+filepath.Join(s.Dir, "admin.sock")))
	},
}

// TestStop_Timeout stops Caddy while two requests run. One ends in time and gets its
// response, the other one is killed.
func TestStop_Timeout(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for name, stop := range stops {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "stop_timeout 4s"))
				stopWith(t, s, stop, 4*time.Second, func(time.Time) {})
			})
		}
	})
}

// TestStop_ShutdownDelay checks that requests are served during shutdown_delay, and that
// stop_timeout starts after it.
func TestStop_ShutdownDelay(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 3", "stop_timeout 1s"), harness.Options{Global: "shutdown_delay 4s"})
		stop := stops["SIGTERM"]
		if b.Name == harness.SingleLean.Name {
			stop = stops["caddy stop"]
		}
		stopWith(t, s, stop, 5*time.Second, func(stopTime time.Time) {
			served := 0
			for ; served == 0 || time.Since(stopTime) < time.Second; served++ {
				s.Get("/hello.php").Want(t, 200, "hello\n")
			}
			// Also a request whose worker is killed.
			h := s.Hold("killed")
			h.Add("")
			_, pids := h.WaitRunning(1)
			harness.Kill(t, pids[0], syscall.SIGKILL)
			h.WaitRunning(2)
			h.Release()
			h.Want(0, 200)
			t.Logf("%d requests, and one whose worker was killed, were served after Caddy was stopped", served)
		})
	})
}

// stopWith stops Caddy while one request runs that ends in time, and one that does not
// end within the limit, which starts when Caddy is stopped. during is called in
// between.
func stopWith(t *testing.T, s *harness.Server, stop func(*testing.T, *harness.Server), limit time.Duration, during func(stopTime time.Time)) {
	t.Helper()
	ends, hangs := s.Hold("ends"), s.Hold("hangs")
	ends.Add("")
	hangs.Add("")
	ends.WaitRunning(1)
	hangs.WaitRunning(1)
	stopTime := time.Now()
	stop(t, s)
	s.Stopped = true
	harness.Eventually(t, func() error {
		if !s.HasLogged("exiting; byeee") {
			return errNoEntry
		}
		return nil
	})
	during(stopTime)
	ends.Release()
	ends.Want(0, 200)
	select {
	case res := <-hangs.Responses[0]:
		if res != nil && res.StatusCode == 200 {
			t.Errorf("the request that hangs got a response: %q", res.Text)
		}
	case <-time.After(harness.MaxWait):
		t.Error("the request that hangs still runs")
	}
	if elapsed := time.Since(stopTime); elapsed < limit || elapsed > limit+30*time.Second {
		t.Errorf("the request that hangs was ended after %v, want %v", elapsed, limit)
	}
	if got := hangs.Lines("ended"); len(got) != 0 {
		t.Errorf("its script ended by itself: %q", got)
	}
	s.WaitGone()
	if got := fmt.Sprint(ends.Lines("ended")); len(ends.Lines("ended")) != 1 {
		t.Errorf("the other script has ended as %s", got)
	}
}
