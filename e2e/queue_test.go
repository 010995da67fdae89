//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestQueue_FIFO queues requests one after the other behind one that occupies the
// only worker.
func TestQueue_FIFO(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1"))
		h := queueUp(s, 9, "")
		h.Release()
		for id := range 10 {
			h.Want(id, 200)
		}
		if ids, _ := h.WaitRunning(10); !slices.IsSorted(ids) {
			t.Errorf("requests were served in the order %v", ids)
		}
		if p := s.Pool(); p.Queue.Length != 0 || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want an empty queue and no failed request", p)
		}
	})
}

// queueUp starts one request that runs, and n more that wait in the order of their
// ids.
func queueUp(s *harness.Server, n int, query string) *harness.HeldRequests {
	s.T.Helper()
	h := s.Hold("queue")
	h.Add(query)
	h.WaitRunning(1)
	for i := range n {
		h.Add(query)
		s.WaitPool(fmt.Sprint("with ", i+1, " waiting"), func(p harness.PoolStatus) bool { return p.Queue.Length == i+1 })
	}
	return h
}

// TestQueue_CanceledRequests cancels two of five waiting requests.
func TestQueue_CanceledRequests(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1"))
		h := queueUp(s, 5, "")
		h.Cancel[1]()
		h.Cancel[4]()
		s.WaitPool("with 3 waiting", func(p harness.PoolStatus) bool { return p.Queue.Length == 3 })
		h.Release()
		for _, id := range []int{0, 2, 3, 5} {
			h.Want(id, 200)
		}
		if ids, _ := h.WaitRunning(4); !slices.Equal(ids, []int{0, 2, 3, 5}) {
			t.Errorf("requests %v were served", ids)
		}
		if p := s.Pool(); p.Requests.Total != 4 || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want 4 requests and none failed", p.Requests)
		}
	})
}

// TestQueue_Full checks that a request is rejected if the queue is full.
func TestQueue_Full(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "max_queue 2"))
		h := queueUp(s, 2, "")
		start := time.Now()
		wantRejected(t, s.Get("/hello.php"), "connection_limit_reached")
		if elapsed := time.Since(start); elapsed > 15*time.Second { // queue_timeout is 30s
			t.Errorf("the rejection came after %v", elapsed)
		}
		h.Release()
		for id := range 3 {
			h.Want(id, 200)
		}
		if p := s.Pool(); p.Requests.Rejected != 1 || p.Requests.Total != 3 {
			t.Errorf("got %+v, want 1 rejected and 3 served", p.Requests)
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
	})
}

// TestQueue_Timeout checks that a request is rejected after queue_timeout.
func TestQueue_Timeout(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "queue_timeout 1s"))
		h := queueUp(s, 0, "")
		start := time.Now()
		wantRejected(t, s.Get("/hello.php"), "connection_timeout")
		if elapsed := time.Since(start); elapsed < time.Second || elapsed > 15*time.Second {
			t.Errorf("the rejection came after %v, want 1s", elapsed)
		}
		h.Release()
		h.Want(0, 200)
		s.Get("/hello.php").Want(t, 200, "hello\n")
	})
}

// wantRejected checks for a 503 with Retry-After, and for the type of the error in
// Proxy-Status.
func wantRejected(t *testing.T, res *harness.Response, kind string) {
	t.Helper()
	res.Want(t, http.StatusServiceUnavailable, "")
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || n < 1 {
		t.Errorf("got Retry-After %q", res.Header.Get("Retry-After"))
	}
	if got, want := strings.Join(res.Header["Proxy-Status"], ","), "php_pool; error="+kind; got != want {
		t.Errorf("got Proxy-Status %q, want %q", got, want)
	}
}

// TestClientDisconnect runs scripts that do not notice the disconnect, ignore it, or
// notice it because they write.
func TestClientDisconnect(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for _, query := range []string{"", "abort=ignore", "abort=ignore&write=1", "write=1"} {
			t.Run(query, func(t *testing.T) {
				t.Parallel()
				s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1"))
				h := queueUp(s, 0, query)
				_, pids := h.WaitRunning(1)
				h.Cancel[0]()
				if query == "write=1" {
					if got, want := h.WaitEnded(1)[0], fmt.Sprintf("0 %d 1", pids[0]); got != want {
						t.Errorf("got end %q, want %q: connection_aborted", got, want)
					}
				} else {
					s.WaitPool("draining", func(p harness.PoolStatus) bool {
						return p.Workers.Draining == 1 && p.Workers.Idle == 0 && p.Workers.Busy == 0
					})
					// The worker is still occupied: the next request waits.
					h.Add("")
					s.WaitPool("with one waiting", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
					if got := h.Lines("ended"); len(got) != 0 {
						t.Errorf("the script has ended: %q", got)
					}
					aborted := strings.Contains(query, "write")
					if aborted { // it notices by writing
						harness.Eventually(t, func() error {
							if len(h.Lines("aborted")) == 0 {
								return errors.New("the script has not noticed the disconnect")
							}
							return nil
						})
					}
					h.Release()
					h.Want(1, 200)
					if got, want := h.WaitEnded(2)[0], fmt.Sprintf("0 %d %d", pids[0], btoi(aborted)); got != want {
						t.Errorf("got end %q, want %q", got, want)
					}
				}
				s.Get("/pid.php").Want(t, 200, fmt.Sprint(pids[0]))
				s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 && p.Workers.Total == 1 })
				s.WantExits(map[string]int{})
			})
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRequestTimeout_LoopAfterDisconnect checks that an endless loop ends at
// request_timeout, and that the worker then serves the next request.
func TestRequestTimeout_LoopAfterDisconnect(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 1", "request_timeout 3s"))
		pid := s.Get("/pid.php").Text
		startAndDisconnect(s, "/load/late.php?file=loop&how=loop")
		s.Get("/pid.php").Want(t, 200, pid)
		s.WantExits(map[string]int{})
	})
}

// startAndDisconnect sends a request and cancels it as soon as its script has created
// file.ran.
func startAndDisconnect(s *harness.Server, path string) {
	s.T.Helper()
	ctx, cancel := context.WithCancel(s.T.Context())
	defer cancel()
	left := make(chan error, 1)
	req := s.Request("GET", path, nil).WithContext(ctx)
	go func() {
		_, err := s.Client.Do(req) // there is no response
		left <- err
	}()
	// A request that is canceled earlier may never reach PHP.
	harness.Eventually(s.T, func() error {
		_, err := os.Stat(filepath.Join(s.Site, req.URL.Query().Get("file")+".ran"))
		return err
	})
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		s.T.Errorf("got %v from the canceled request", err)
	}
}
