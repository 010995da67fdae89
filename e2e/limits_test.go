//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestMaxRequests_LosesNoRequest sends enough requests to have each worker replaced
// many times.
func TestMaxRequests_LosesNoRequest(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		const most, jitter, requests, clients = 20, 10, 1000, 8
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 4", fmt.Sprintf("max_requests %d %d", most, jitter)))
		var mu sync.Mutex
		served := map[string]int{}
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for range requests / clients {
					res := s.Get("/pid.php")
					res.Want(t, 200, "")
					mu.Lock()
					served[res.Text]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		lengths := map[int]int{}
		for pid, n := range served {
			lengths[n]++
			if n > most {
				t.Errorf("worker %s has served %d requests", pid, n)
			}
		}
		p := s.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == 4 })
		if got := p.Exits["max_requests"]; got < requests/most-4 || got > requests/(most-jitter) || len(p.Exits) != 1 {
			t.Errorf("got exits %v, want max_requests between %d and %d", p.Exits, requests/most-4, requests/(most-jitter))
		}
		if len(lengths) < 5 {
			t.Errorf("workers lived for %v requests, want some jitter", lengths)
		}
		if p.Requests.Total != requests || p.Requests.Failed != 0 || p.Requests.Retried != 0 {
			t.Errorf("got %+v, want %d requests and none failed or retried", p.Requests, requests)
		}
	})
}

// TestMaxMemory_LeakingWorkerIsReplaced runs a script that leaks memory. The limit
// is far above the memory of a new process.
func TestMaxMemory_LeakingWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "max_memory 100MiB", "ini ffi.enable 1"))
		first := s.Get("/load/memory.php").Text
		s.Get("/load/memory.php?leak=20000000").Want(t, 200, first)
		s.Get("/load/memory.php").Want(t, 200, first)
		s.Get("/load/memory.php?leak=100000000").Want(t, 200, first)
		res := s.Get("/load/memory.php")
		res.Want(t, 200, "")
		if res.Text == first {
			t.Error("the worker was not replaced")
		}
		p := s.WaitPool("renewed", func(p harness.PoolStatus) bool { return len(p.List) == 1 && p.Exits["max_memory"] == 1 })
		if p.List[0].Memory > 60*harness.MiB || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want a small worker and no failed request", p)
		}
	})
}

// TestMaxMemory_FreedMemoryIsNoLeak runs a script that uses much memory, which PHP
// frees only after it has sent the end of the response.
func TestMaxMemory_FreedMemoryIsNoLeak(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "max_memory 100MiB", "ini memory_limit 256M"))
		first := s.Get("/load/memory.php").Text
		for range 20 {
			s.Get("/load/memory.php?use=110000000").Want(t, 200, first)
		}
		s.WantExits(map[string]int{})
	})
}

// TestMaxAge sends requests until each worker has been replaced twice.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "max_age 1s"))
		s.WaitPool("twice renewed", func(p harness.PoolStatus) bool {
			s.Get("/hello.php").Want(t, 200, "hello\n")
			return p.Exits["max_age"] >= 4
		})
		if p := s.Pool(); len(p.Exits) != 1 || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want no other exits and no failed request", p)
		}
	})
}

// TestHealthCheck_StuckWorkerIsReplaced stops an idle worker with SIGSTOP. It gets no
// request, because the worker that was used last is used first. No request fails.
func TestHealthCheck_StuckWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "health_interval 1s"))
		used := s.Get("/pid.php").Text
		for _, w := range s.Pool().List {
			if fmt.Sprint(w.PID) != used {
				harness.Kill(t, w.PID, syscall.SIGSTOP)
			}
		}
		s.WaitPool("without the stuck worker", func(p harness.PoolStatus) bool {
			s.Get("/pid.php").Want(t, 200, "")
			return p.Exits["unresponsive"] == 1 && p.Workers.Idle == 2
		})
		if p := s.Pool(); len(p.Exits) != 1 || p.Requests.Failed+p.Requests.Retried != 0 {
			t.Errorf("got %+v, want no other exit and no request failed or retried", p)
		}
		if got := s.Logged("worker did not respond to the health check"); len(got) != 1 {
			t.Errorf("got log entries %v, want one", got)
		}
	})
}

// TestRequestTimeout runs scripts that exceed the limit in several ways, some of which
// PHP cannot interrupt.
func TestRequestTimeout(t *testing.T) {
	t.Parallel()
	const limit, killDelay = time.Second, 2 * time.Second
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for how, soft := range map[string]bool{"sleep": true, "loop": true, "read": false, "shutdown": false} {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "request_timeout 1s", "ini log_errors 1"))
				pid := s.Get("/pid.php").Text
				start := time.Now()
				s.Get("/load/late.php?file=late&how="+how).Want(t, http.StatusGatewayTimeout, "")
				atMost := limit + 15*time.Second
				if !soft {
					atMost += killDelay
				}
				if elapsed := time.Since(start); elapsed < limit || elapsed > atMost {
					t.Errorf("the response came after %v, want %v to %v", elapsed, limit, atMost)
				}
				after := s.Get("/pid.php")
				after.Want(t, 200, "")
				if same := after.Text == pid; same != soft {
					t.Errorf("worker %s is followed by %s, want the same: %t", pid, after.Text, soft)
				}
				shutdown, err := os.ReadFile(filepath.Join(s.Site, "late.shutdown"))
				if want := how != "read"; (err == nil) != want || err == nil && string(shutdown) != pid {
					t.Errorf("the shutdown function ran in %q (%v), want it: %t", shutdown, err, want)
				}
				if !soft {
					s.WantExits(map[string]int{"request_timeout": 1})
					return
				}
				s.WantExits(map[string]int{})
				if got := fmt.Sprint(s.Logged("stderr")); !strings.Contains(got, "Maximum execution time") || !strings.Contains(got, "late.php on line") {
					t.Errorf("the log does not name the line: %s", got)
				}
			})
		}
	})
}

// TestRequestTimeout_NextRequestIsUnaffected checks that the worker of a request that
// timed out serves the next ones without a limit.
func TestRequestTimeout_NextRequestIsUnaffected(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "request_timeout 1s"))
		pid := s.Get("/pid.php").Text
		s.Get("/load/late.php?file=late&how=sleep").Want(t, http.StatusGatewayTimeout, "")
		s.Get("/pid.php").Want(t, 200, pid)
		s.Get("/load/late.php?file=late&how=sleep").Want(t, http.StatusGatewayTimeout, "")
		if err := s.Reload(harness.PoolSite(b, "manager static", "workers 1")); err != nil {
			t.Fatal(err)
		}
		s.Get("/pid.php").Want(t, 200, pid)
	})
}

// TestRequestTimeout_AbortsPartialResponse exceeds the limit after the start of the
// response.
func TestRequestTimeout_AbortsPartialResponse(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "request_timeout 1s"))
		for _, how := range []string{"sleep", "read"} {
			res, err := s.Client.Do(s.Request("GET", "/load/late.php?file=late&begin=1&how="+how, nil))
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 1000)
			for n := 0; err == nil; {
				n, err = res.Body.Read(body)
				if n == 0 && err == nil {
					t.Fatal("nothing read")
				}
			}
			res.Body.Close()
			if err.Error() != "unexpected EOF" {
				t.Errorf("%s: got status %d and then %v, want it to be aborted", how, res.StatusCode, err)
			}
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
	})
}

// TestReadTimeout runs a script that sends nothing, and one that takes as long but
// sends output.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 2", "read_timeout 1s"))
		h := s.Hold("silence")
		h.Add("")
		s.Get("/load/drip.php").Want(t, 200, strings.Repeat("drip\n", 20))
		h.Want(0, http.StatusGatewayTimeout)
		s.WaitPool("draining", func(p harness.PoolStatus) bool { return p.Workers.Draining == 1 })
		h.Release()
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 2 })
		s.WantExits(map[string]int{})
	})
}

// TestSlowRequest_LoggedOnce runs a request that just exceeds the limit, and one that
// exceeds it by far.
func TestSlowRequest_LoggedOnce(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "slow_request 300ms"))
		s.Get("/hello.php").Want(t, 200, "hello\n")
		for n, seconds := range []float64{0.31, 2.5} {
			h := s.Hold(fmt.Sprint("slow", n))
			h.Add("secret=1")
			running := s.WaitPool("slow", func(p harness.PoolStatus) bool {
				return p.Workers.Busy == 1 && p.List[0].Request.Since > seconds
			}).List[0]
			h.Release()
			h.Want(0, 200)
			harness.Eventually(t, func() error {
				if len(s.Logged("slow request")) != n+1 {
					return fmt.Errorf("got log entries %v, want %d", s.Logged("slow request"), n+1)
				}
				return nil
			})
			entry := s.Logged("slow request")[n]
			for key, want := range map[string]any{
				"method": "GET", "uri": "/load/hold.php", "script": s.Site + "/load/hold.php",
				"worker": float64(running.ID), "pid": float64(running.PID),
			} {
				if entry[key] != want {
					t.Errorf("%s: got %v, want %v", key, entry[key], want)
				}
			}
			if got, _ := entry["duration"].(float64); got < 0.3 || got > seconds+5 {
				t.Errorf("duration: got %v", entry["duration"])
			}
		}
		if got := s.Pool().Requests.Slow; got != 2 {
			t.Errorf("got %d slow requests, want 2", got)
		}
	})
}

// TestRequestTimeout_StuckAfterDisconnect runs a stuck script whose client has
// disconnected. It is killed as with a client, and counted.
func TestRequestTimeout_StuckAfterDisconnect(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "request_timeout 1s"))
		pid := s.Get("/pid.php").Text
		startAndDisconnect(s, "/load/late.php?file=late&how=read")
		s.WaitPool("draining", func(p harness.PoolStatus) bool { return p.Workers.Draining == 1 })
		if after := s.Get("/pid.php").Text; after == pid {
			t.Errorf("worker %s was not killed", pid)
		}
		s.WantExits(map[string]int{"request_timeout": 1})
	})
}
