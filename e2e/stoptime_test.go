//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// stops are the ways to tell Caddy to stop.
var stops = map[string]func(*testing.T, *server){
	"SIGTERM": func(_ *testing.T, s *server) { s.signal(syscall.SIGTERM) },
	"SIGINT":  func(_ *testing.T, s *server) { s.signal(syscall.SIGINT) },
	"caddy stop": func(t *testing.T, s *server) {
		// It returns when Caddy has stopped.
		keep(t, s.command("stop", "--address", "unix/"+filepath.Join(s.dir, "admin.sock")))
	},
}

// TestRequestsHaveStopTimeoutToEnd tells Caddy to stop while two requests run:
// one ends then and is answered, the other one never does and is killed.
func TestRequestsHaveStopTimeoutToEnd(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		for name, stop := range stops {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t, b, poolSite(b, "manager static", "workers 2", "stop_timeout 4s"))
				stopWith(s, t, stop, 4*time.Second, func(time.Time) {})
			})
		}
	})
}

// TestRequestsAreServedDuringShutdownDelay has the time of those that run begin
// after it.
func TestRequestsAreServedDuringShutdownDelay(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := start(t, b, poolSite(b, "manager static", "workers 3", "stop_timeout 1s"), options{global: "shutdown_delay 4s"})
		stop := stops["SIGTERM"]
		if b.name == singleLean.name {
			stop = stops["caddy stop"]
		}
		stopWith(s, t, stop, 5*time.Second, func(told time.Time) {
			served := 0
			for ; served == 0 || time.Since(told) < time.Second; served++ {
				s.get("/hello.php").want(t, 200, "hello\n")
			}
			// Also one whose worker is lost meanwhile.
			h := s.hold("lost")
			h.add("")
			_, pids := h.ran(1)
			kill(t, pids[0], syscall.SIGKILL)
			h.ran(2)
			h.release()
			h.want(0, 200)
			t.Logf("%d requests and one whose worker was lost were served after Caddy had been told to stop", served)
		})
	})
}

// stopWith stops Caddy while one request runs that ends then, and one that does
// not end within the limit, counted from when Caddy was told; during is called
// in between.
func stopWith(s *server, t *testing.T, stop func(*testing.T, *server), limit time.Duration, during func(told time.Time)) {
	t.Helper()
	ends, hangs := s.hold("ends"), s.hold("hangs")
	ends.add("")
	hangs.add("")
	ends.ran(1)
	hangs.ran(1)
	told := time.Now()
	stop(t, s)
	s.stopped = true
	eventually(t, func() error {
		if !s.hasLogged("exiting; byeee") {
			return errNoEntry
		}
		return nil
	})
	during(told)
	ends.release()
	ends.want(0, 200)
	select {
	case res := <-hangs.answers[0]:
		if res != nil && res.StatusCode == 200 {
			t.Errorf("the request that hangs was answered: %q", res.body)
		}
	case <-time.After(maxWait):
		t.Error("the request that hangs still runs")
	}
	if took := time.Since(told); took < limit || took > limit+30*time.Second {
		t.Errorf("the request that hangs was ended after %v, want %v", took, limit)
	}
	if got := hangs.lines("ended"); len(got) != 0 {
		t.Errorf("its script has ended by itself: %q", got)
	}
	s.gone()
	if got := fmt.Sprint(ends.lines("ended")); len(ends.lines("ended")) != 1 {
		t.Errorf("the other script has ended as %s", got)
	}
}
