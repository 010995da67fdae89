//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestRetry_WorkerKilledDuringRequest kills the worker of a request that may be
// retried, and of one that may not.
func TestRetry_WorkerKilledDuringRequest(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2"))
		h := s.Hold("killed")
		h.Add("")
		_, pids := h.WaitRunning(1)
		harness.Kill(t, pids[0], syscall.SIGKILL)
		_, pids = h.WaitRunning(2)
		h.Release()
		if got, want := h.Want(0, 200).Text, fmt.Sprintf("0 %d\n", pids[1]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		post := s.Hold("post")
		response := make(chan *harness.Response, 1)
		req := s.Request("POST", "/load/hold.php?file=post", strings.NewReader("a=b"), "Content-Type: application/x-www-form-urlencoded")
		go func() { response <- s.Do(req) }()
		_, pids = post.WaitRunning(1)
		harness.Kill(t, pids[0], syscall.SIGKILL)
		(<-response).Want(t, http.StatusBadGateway, "")
		if got := post.Lines("ran"); len(got) != 1 {
			t.Errorf("the request that may not be repeated ran as %q", got)
		}
		p := s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		if p.Exits["crashed"] != 2 || len(p.Exits) != 1 || p.Requests.Retried != 1 || p.Requests.Failed != 1 {
			t.Errorf("got %+v, want 2 crashes, 1 request retried and 1 failed", p)
		}
		if got := s.Logged("worker exited unexpectedly"); len(got) != 2 || got[1]["method"] != "POST" || got[1]["pid"] != float64(pids[0]) {
			t.Errorf("got log entries %v", got)
		}
	})
}

// TestCrash_MisbehavingScripts requests scripts that harm their own process, each
// twice. No other request may fail, and the pool has to recover.
func TestCrash_MisbehavingScripts(t *testing.T) {
	t.Parallel()
	for _, odd := range []struct {
		do      string
		status  int
		body    string
		crashes int // for each GET, which is retried once
	}{
		{"kill", 502, "", 2},
		{"segfault", 502, "", 2},
		{"exit", 200, "half", 0},
		{"close output", 200, "before after", 0},
		{"close sockets", 502, "", 2},
		{"hog", 500, "", 0},
	} {
		t.Run(odd.do, func(t *testing.T) {
			harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
				s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 3", "quarantine off", "ini ffi.enable 1", "ini memory_limit 64M", "ini display_errors 0"))
				path := "/load/odd.php?do=" + strings.ReplaceAll(odd.do, " ", "%20")
				if odd.do == "hog" {
					path = "/load/memory.php?hog=1"
				}
				stop := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							s.Get("/hello.php").Want(t, 200, "hello\n")
						}
					}
				})
				for range 2 {
					s.Get(path).Want(t, odd.status, odd.body)
				}
				close(stop)
				wg.Wait()
				p := s.WaitPool("whole", func(p harness.PoolStatus) bool {
					return p.Workers.Idle == 3 && p.Workers.Total == 3 && p.Workers.Stopping == 0
				})
				if p.Exits["crashed"] != 2*odd.crashes {
					t.Errorf("got exits %v, want %d crashed", p.Exits, 2*odd.crashes)
				}
				s.WantWorkerProcesses(b, 3)
			})
		})
	}
}

// TestCrash_ForkingScript requests a script that forks. The child continues as a
// php-cgi, and could send responses and accept requests. It may not affect other
// requests, and it has to be killed.
func TestCrash_ForkingScript(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "quarantine off"))
		for range 5 {
			if res := s.Get("/load/odd.php?do=fork"); res.StatusCode == 200 && res.Text != "original" && res.Text != "copy" {
				t.Errorf("got %q", res.Text)
			}
			for range 5 {
				s.Get("/hello.php").Want(t, 200, "hello\n")
			}
		}
		s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 && p.Workers.Total == 2 })
		s.WantWorkerProcesses(b, 2)
	})
}

// TestCrash_TruncatedResponse kills a worker during its response, which must not look
// complete.
func TestCrash_TruncatedResponse(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1"))
		h := s.Hold("broken")
		res, err := s.Client.Do(s.Request("GET", "/load/hold.php?file=broken&write=1", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, pids := h.WaitRunning(1)
		harness.Kill(t, pids[0], syscall.SIGKILL)
		if _, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Error("the response looks complete")
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
		if got := h.Lines("ran"); len(got) != 1 {
			t.Errorf("the request was repeated: %q", got)
		}
	})
}

// TestQuarantine_RepeatedCrashes checks that only the path that crashes is quarantined.
func TestQuarantine_RepeatedCrashes(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "quarantine 3 1m 6s"))
		for range 3 {
			s.Do(s.Request("POST", "/load/odd.php?do=kill", nil)).Want(t, http.StatusBadGateway, "")
		}
		script := s.Site + "/load/odd.php at /load/odd.php"
		p := s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		if p.Quarantined[script] == "" || len(p.Quarantined) != 1 {
			t.Errorf("got %v in quarantine, want %s", p.Quarantined, script)
		}
		wantRejected(t, s.Get("/load/odd.php?do=kill"), "http_request_denied")
		wantRejected(t, s.Get("/load/odd.php?do=exit"), "http_request_denied")
		s.Get("/load/odd.php/elsewhere?do=exit").Want(t, 200, "half")
		s.Get("/hello.php").Want(t, 200, "hello\n")
		if got := s.Logged("script quarantined after repeated worker crashes"); len(got) != 1 || got[0]["script"] != s.Site+"/load/odd.php" || got[0]["uri"] != "/load/odd.php" {
			t.Errorf("got log entries %v", got)
		}
		if p = s.Pool(); p.Exits["crashed"] != 3 {
			t.Errorf("got exits %v, want 3 crashed", p.Exits)
		}
		harness.Eventually(t, func() error {
			if res := s.Get("/load/odd.php?do=exit"); res.StatusCode != 200 {
				return fmt.Errorf("the script is still quarantined: %s", res.Status)
			}
			return nil
		})
		if p := s.Pool(); len(p.Quarantined) != 0 {
			t.Errorf("got %v in quarantine", p.Quarantined)
		}
	})
}

// TestCrash_LaunchBackoff kills every worker as soon as it is idle. The pool logs
// that once, launches more slowly, and recovers.
func TestCrash_LaunchBackoff(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2"))
		start := time.Now()
		p := s.WaitPool("bled", func(p harness.PoolStatus) bool {
			for _, w := range p.List {
				if w.State == "idle" {
					syscall.Kill(w.PID, syscall.SIGKILL) // it may have exited already
				}
			}
			return p.Exits["crashed"] >= 12 // workers that die together count once
		})
		if elapsed := time.Since(start); elapsed < 300*time.Millisecond {
			t.Errorf("%d workers were launched and died within %v", p.Exits["crashed"], elapsed)
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
		s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		if got := s.Logged("workers exit immediately after launch; delaying further launches"); len(got) != 1 {
			t.Errorf("got log entries %v, want one", got)
		}
		if got := s.Logged("worker exited unexpectedly"); len(got) > 4 {
			t.Errorf("%d log entries for %d exits", len(got), p.Exits["crashed"])
		}
	})
}

// TestCrash_MasterKilled kills the master while a request runs. That request
// succeeds, and a new generation serves the others at once.
func TestCrash_MasterKilled(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "manager static", "workers 3"))
	h := queueUp(s, 0, "")
	old := s.PHPProcesses()
	masters := s.Masters()
	if len(masters) != 1 {
		t.Fatalf("got masters %v, want one", masters)
	}
	harness.Kill(t, masters[0].PID, syscall.SIGKILL)
	s.Get("/hello.php").Want(t, 200, "hello\n")
	p := s.WaitPool("a new generation", func(p harness.PoolStatus) bool { return p.Generation == 2 && p.Workers.Idle >= 2 })
	if p.MasterExits != 1 || p.Restarts != 0 || p.Workers.Busy != 1 {
		t.Errorf("got %+v, want one exit of a master and the old request still running", p)
	}
	h.Release()
	h.Want(0, 200)
	harness.Eventually(t, func() error {
		now := map[int]bool{}
		for _, p := range s.PHPProcesses() {
			now[p.PID] = true
		}
		for _, p := range old {
			if now[p.PID] {
				return fmt.Errorf("still there: %v", p)
			}
		}
		return nil
	})
	p = s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 3 && p.Workers.Total == 3 })
	s.WantWorkerProcesses(harness.SharedLean, 3)
	if p.Requests.Failed != 0 || p.Exits["crashed"] != 0 {
		t.Errorf("got %+v, want no failed request and no crash", p)
	}
}
