//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// A chaosRequest is a request and the result that its client got.
type chaosRequest struct {
	id            int
	method        string
	kind          string // see load/chaos.php
	slow          bool   // its client reads or writes slowly
	disconnecting bool   // its client may disconnect before the response

	status  int // 0 without a response
	pid     int // from the header X-Pid
	body    string
	err     error
	problem string // why it failed, or empty
}

// chaos is a run of the test.
type chaos struct {
	*harness.Server
	requests []*chaosRequest
	killed   map[int]bool
}

// TestChaos sends requests of all kinds while workers are recycled and killed. Then it
// checks each request: exactly those have to fail whose worker was killed and that may
// not be retried.
func TestChaos(t *testing.T) {
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		const workers = 8
		c := &chaos{
			Server: harness.Start(t, b, harness.PoolSite(b, "manager static", fmt.Sprint("workers ", workers), "max_requests 100 20",
				"quarantine off")), // the script does not cause the kills
			killed: map[int]bool{},
		}
		if err := os.Mkdir(filepath.Join(c.Site, "chaos"), 0o755); err != nil {
			t.Fatal(err)
		}
		harness.ChownToPHP(t, c.Site)
		c.Client.Transport.(*http.Transport).MaxIdleConnsPerHost = 32
		start := time.Now()
		c.run()
		elapsed := time.Since(start)
		p := c.WaitPool("whole", func(p harness.PoolStatus) bool { return p.Workers.Idle == workers && p.Workers.Total == workers })
		c.judge(p)
		t.Logf("%d requests in %v, %d workers killed: exits %v, %+v", len(c.requests), elapsed.Round(time.Second), len(c.killed), p.Exits, p.Requests)
	})
}

// run sends all requests, 32 at a time, and kills a worker at intervals.
func (c *chaos) run() {
	const most = 100_000 // some minutes
	requests, every := min(harness.Rounds(50_000), most), 100*time.Millisecond
	if requests == most {
		every = time.Second
	}
	for id := range requests {
		c.requests = append(c.requests, newChaosRequest(id))
	}
	ctx, cancel := context.WithCancel(c.T.Context())
	var killer sync.WaitGroup
	killer.Go(func() {
		for ticks := time.NewTicker(every); ; {
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
				list := c.Pool().List
				if len(list) == 0 {
					continue // on a busy machine they may die faster than they are launched
				}
				pid := list[rand.IntN(len(list))].PID
				if syscall.Kill(pid, syscall.SIGKILL) == nil {
					c.killed[pid] = true
				}
			}
		}
	})
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for id := next.Add(1) - 1; id < int64(len(c.requests)); id = next.Add(1) - 1 {
				c.send(c.requests[id])
			}
		})
	}
	clients.Wait()
	cancel()
	killer.Wait()
}

// newChaosRequest returns a random request.
func newChaosRequest(id int) *chaosRequest {
	r := &chaosRequest{id: id, method: "GET", kind: "quick"}
	if rand.IntN(2) == 0 {
		r.method = "POST"
	}
	switch n := rand.IntN(100); {
	case n < 20:
		r.kind = "slow"
	case n < 25:
		r.kind = "stream"
	case n < 27:
		r.kind, r.slow = "large", true
	case n < 30 && r.method == "POST":
		r.kind, r.slow = "upload", true
	case n < 33:
		r.kind, r.disconnecting = "slow", true
	}
	return r
}

// send sends the request and records what is wrong with the response, unless the client
// disconnects.
func (c *chaos) send(r *chaosRequest) {
	ctx, cancel := context.WithCancel(c.T.Context())
	defer cancel()
	if r.disconnecting {
		defer time.AfterFunc(time.Duration(rand.IntN(10))*time.Millisecond, cancel).Stop()
	}
	// A reader that net/http cannot rewind, even if it is empty, or it would retry.
	body := io.Reader(struct{ io.Reader }{strings.NewReader("")})
	if r.kind == "upload" {
		body = &trickle{left: strings.Repeat("0123456789", 50)}
	} else if r.method == "POST" {
		body = struct{ io.Reader }{strings.NewReader("a=b&c=d")}
	}
	req := c.Request(r.method, fmt.Sprintf("/load/chaos.php/%d?%s", r.id, r.kind), body).WithContext(ctx)
	if r.kind == "upload" {
		req.ContentLength = 500
	} else if r.method == "POST" {
		req.ContentLength = 7
	}
	r.receive(c.Client.Do(req))
	if r.disconnecting && errors.Is(r.err, context.Canceled) {
		return
	}
	switch end := fmt.Sprintf("%d done\n", r.id); {
	case r.err != nil:
		r.problem = r.err.Error()
	case r.status != 200:
		r.problem = fmt.Sprint("status ", r.status)
	case !strings.HasSuffix(r.body, end):
		r.problem = fmt.Sprintf("the response to another request, or a part of one: %.100q", r.body)
	}
}

func (r *chaosRequest) receive(res *http.Response, err error) {
	if r.err = err; err != nil {
		return
	}
	defer res.Body.Close()
	r.status = res.StatusCode
	r.pid, _ = strconv.Atoi(res.Header.Get("X-Pid"))
	from := io.Reader(res.Body)
	if r.slow {
		from = &trickle{from: from}
	}
	body, err := io.ReadAll(from)
	r.body, r.err = string(body), err
}

// trickle reads slowly from a string or from another reader.
type trickle struct {
	left string
	from io.Reader
}

func (r *trickle) Read(p []byte) (int, error) {
	<-time.After(time.Millisecond)
	if r.from != nil {
		return r.from.Read(p[:min(len(p), 30000)])
	}
	if r.left == "" {
		return 0, io.EOF
	}
	n := copy(p, r.left[:min(len(r.left), 50)])
	r.left = r.left[n:]
	return n, nil
}

// executionLog has the requests that the processes have logged.
type executionLog struct {
	started  map[int][]int // by request: the processes that started it
	finished map[int]bool  // by request: whether one of them finished it
}

func (c *chaos) readExecutionLog() executionLog {
	b := executionLog{started: map[int][]int{}, finished: map[int]bool{}}
	names, err := os.ReadDir(filepath.Join(c.Site, "chaos"))
	if err != nil {
		c.T.Fatal(err)
	}
	for _, name := range names {
		pid, _ := strconv.Atoi(name.Name())
		for line := range strings.Lines(harness.ReadFile(c.T, filepath.Join(c.Site, "chaos", name.Name()))) {
			if id, begins := strings.CutSuffix(line, " begin\n"); begins {
				n, _ := strconv.Atoi(id)
				b.started[n] = append(b.started[n], pid)
			} else if id, ends := strings.CutSuffix(line, " end\n"); ends {
				n, _ := strconv.Atoi(id)
				b.finished[n] = true
			}
		}
	}
	return b
}

// exitsByRequest returns, by request, the killed workers that ran it, from Caddy's log.
func (c *chaos) exitsByRequest() map[int][]int {
	lost := map[int][]int{}
	for _, entry := range c.Logged("worker exited unexpectedly") {
		uri, _ := entry["uri"].(string)
		pid, _ := entry["pid"].(float64)
		if !c.killed[int(pid)] {
			c.T.Errorf("worker %v exited and was not killed: %v", pid, entry)
		}
		if id, err := strconv.Atoi(strings.TrimPrefix(uri, "/load/chaos.php/")); err == nil {
			lost[id] = append(lost[id], int(pid))
		}
	}
	return lost
}

// verdict returns whether a request whose workers were killed has to fail, and why it
// could not be retried.
func (b executionLog) verdict(r *chaosRequest, hits []int) (fails bool, why string) {
	switch {
	case r.disconnecting || len(hits) == 0:
		return false, ""
	case r.status == 200 && r.problem == "" && b.finished[r.id]:
		return false, "" // the worker was killed after the whole response
	case r.status == 200 && slices.Contains(hits, r.pid):
		return true, "the response had started"
	case r.method != "GET":
		return true, "may not be retried"
	case len(hits) > 1:
		return true, "was retried already"
	}
	return false, ""
}

// judge compares the results of the clients with the logs of the processes and Caddy.
func (c *chaos) judge(p harness.PoolStatus) {
	t, b, lost := c.T, c.readExecutionLog(), c.exitsByRequest()
	failed, expected, reasons, twice := 0, 0, map[string]int{}, 0
	for _, r := range c.requests {
		runs, hits := b.started[r.id], lost[r.id]
		if r.disconnecting && len(hits) > 0 {
			r.problem = "" // the kill may have come before the disconnect
		}
		if len(runs) > 2 || len(runs) > 1 && r.method == "POST" {
			t.Errorf("%s %d was executed by %v, of which %v were killed", r.method, r.id, runs, hits)
		}
		if len(runs) > 1 {
			twice++
		}
		if r.problem == "" && !r.disconnecting && !b.finished[r.id] {
			t.Errorf("%s %d has a response although no process finished it", r.method, r.id)
		}
		fails, why := b.verdict(r, hits)
		if fails {
			expected++
			reasons[why]++
		}
		if r.problem != "" {
			failed++
		}
		if fails != (r.problem != "") {
			t.Errorf("%s %d (%s): got %q (status %d of process %d); executed by %v, killed were %v: has to fail: %t %s",
				r.method, r.id, r.kind, r.problem, r.status, r.pid, runs, hits, fails, why)
		} else if fails && r.status != 200 && r.status != http.StatusBadGateway {
			t.Errorf("%s %d (%s): got %s, want status 502", r.method, r.id, r.kind, r.problem)
		}
	}
	if failed != expected {
		t.Errorf("%d requests failed, and %d were hit by a kill that has to fail them", failed, expected)
	}
	if p.Requests.Rejected != 0 {
		t.Errorf("%d requests were rejected", p.Requests.Rejected)
	}
	t.Logf("kills hit %d requests, and made %d fail: %v; %d requests ran twice", len(lost), failed, reasons, twice)
}
