//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// poolSite is a site whose pool is named main and has these options.
func poolSite(b backend, lines ...string) string {
	lines = append(slices.Clone(b.lines), lines...)
	return `
		http://127.0.0.1:{$PORT} {
			root {$SITE}
			php_pool {
				name main
				` + strings.Join(lines, "\n") + `
			}
			file_server
		}
	`
}

// poolStatus is what the admin API tells of a pool.
type poolStatus struct {
	Generation  int
	Workers     struct{ Total, Idle, Busy, Draining, Starting, Stopping, Max, Standby int }
	Queue       struct{ Length, Max int }
	Requests    struct{ Total, Failed, Refused, Slow, Retried int }
	Exits       map[string]int
	Restarts    int
	Quarantined map[string]string
	List        []workerStatus `json:"workers_list"`
}

type workerStatus struct {
	ID, PID, Requests int
	State             string
	Memory            int64 `json:"memory_bytes"`
	Request           struct {
		Method, URI string
		Since       float64 `json:"since_seconds"`
	}
}

// pool asks for the state of the pool main.
func (s *server) pool() poolStatus {
	s.t.Helper()
	res := s.admin("GET", "/php_pool/pools/main", "")
	var p poolStatus
	if err := json.Unmarshal([]byte(res.body), &p); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("the pool's state: %s: %s (%v)", res.Status, res.body, err)
	}
	return p
}

// poolBecomes waits until the pool is as described, and returns it.
func (s *server) poolBecomes(what string, is func(poolStatus) bool) poolStatus {
	s.t.Helper()
	var p poolStatus
	eventually(s.t, func() error {
		if p = s.pool(); !is(p) {
			return fmt.Errorf("the pool is not %s: %+v", what, p)
		}
		return nil
	})
	return p
}

// wantExits checks which workers have left, and why.
func (s *server) wantExits(want map[string]int) {
	s.t.Helper()
	s.poolBecomes(fmt.Sprintf("one with exits %v", want), func(p poolStatus) bool {
		return fmt.Sprint(p.Exits) == fmt.Sprint(want)
	})
}

// holding is requests that run until they are released.
type holding struct {
	s       *server
	name    string
	info    string // what follows the script in the path
	file    string
	header  string // of the requests that are added, if any
	cancel  []context.CancelFunc
	answers []chan *response // nil comes from one that failed
}

// hold makes the beginning of requests that PHP serves until they are released.
func (s *server) hold(name string) *holding {
	s.t.Helper()
	h := &holding{s: s, name: name, file: filepath.Join(s.site, name)}
	writeFile(s.t, h.file, "")
	s.t.Cleanup(h.release)
	return h
}

// add sends one more request, whose id is its number, from 0.
func (h *holding) add(query string) {
	h.s.t.Helper()
	path := fmt.Sprintf("/load/hold.php%s?file=%s&id=%d&%s", h.info, h.name, len(h.answers), query)
	ctx, cancel := context.WithCancel(h.s.t.Context())
	h.s.t.Cleanup(cancel)
	req := h.s.request("GET", path, nil).WithContext(ctx)
	if name, value, ok := strings.Cut(h.header, ": "); ok {
		req.Header.Set(name, value)
	}
	answer := make(chan *response, 1)
	h.cancel, h.answers = append(h.cancel, cancel), append(h.answers, answer)
	go func() {
		defer close(answer)
		if res, err := h.s.client.Do(req); err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			answer <- &response{res, string(body)}
		}
	}()
}

// ran waits until PHP has begun so many, and returns their ids and processes.
func (h *holding) ran(n int) (ids, pids []int) {
	h.s.t.Helper()
	var lines []string
	eventually(h.s.t, func() error {
		if lines = h.lines("ran"); len(lines) < n {
			return fmt.Errorf("%d of %d requests are being served: %+v", len(lines), n, h.s.pool())
		}
		return nil
	})
	for _, line := range lines {
		var id, pid int
		if _, err := fmt.Sscan(line, &id, &pid); err != nil {
			h.s.t.Fatalf("%q: %v", line, err)
		}
		ids, pids = append(ids, id), append(pids, pid)
	}
	return ids, pids
}

// lines is what the scripts wrote down: ran or ended.
func (h *holding) lines(what string) []string {
	text, _ := os.ReadFile(h.file + "." + what)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// ended waits until so many scripts have ended, and returns their status.
func (h *holding) ended(n int) (lines []string) {
	h.s.t.Helper()
	eventually(h.s.t, func() error {
		if lines = h.lines("ended"); len(lines) < n {
			return fmt.Errorf("%d of %d scripts have ended", len(lines), n)
		}
		return nil
	})
	return lines
}

// release lets the scripts end.
func (h *holding) release() { os.Remove(h.file) }

// want checks the answer to a request.
func (h *holding) want(id, status int) *response {
	h.s.t.Helper()
	select {
	case res := <-h.answers[id]:
		if res == nil {
			h.s.t.Fatalf("request %d failed", id)
		}
		res.want(h.s.t, status, "")
		return res
	case <-time.After(maxWait):
		h.s.t.Fatalf("request %d has no answer: %+v", id, h.s.pool())
		return nil
	}
}

// php lists every process but Caddy itself: masters, workers, guardians, and
// what scripts have started.
func (s *server) php() []process {
	return slices.DeleteFunc(s.processes(), func(p process) bool { return p.pid == s.PID || p.args == "" })
}

// masters are the processes of php-cgi that have children.
func (s *server) masters() []process {
	all := s.php()
	return slices.DeleteFunc(slices.Clone(all), func(p process) bool {
		return !strings.Contains(p.args, "php-cgi") || !slices.ContainsFunc(all, func(c process) bool { return c.ppid == p.pid })
	})
}

// pss sums up the memory of processes, in bytes, with what they share counted
// once. own leaves out the pages of files: what they count for depends on who
// else on the machine runs the same program.
func pss(tb testing.TB, all []process) (sum, own int64) {
	tb.Helper()
	for _, p := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(text)) {
			var kb int64
			name, value, _ := strings.Cut(line, ":")
			if !strings.HasPrefix(name, "Pss") {
				continue
			}
			if _, err := fmt.Sscan(value, &kb); err != nil {
				tb.Fatalf("%s of process %d: %v", name, p.pid, err)
			}
			switch name {
			case "Pss":
				sum += kb << 10
			case "Pss_Anon", "Pss_Shmem":
				own += kb << 10
			}
		}
	}
	return sum, own
}

// kill sends a signal to a worker.
func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Errorf("sending %v to %d: %v", sig, pid, err)
	}
}

// logged lists the log entries with a message.
func (s *server) logged(message string) (entries []map[string]any) {
	s.t.Helper()
	for _, entry := range s.logs() {
		if entry["msg"] == message {
			entries = append(entries, entry)
		}
	}
	return entries
}
