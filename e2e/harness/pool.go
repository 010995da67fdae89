//go:build linux

package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// MustReload loads a configuration, and ends the test if that fails.
func (s *Server) MustReload(caddyfile string) {
	s.T.Helper()
	if err := s.Reload(caddyfile); err != nil {
		s.T.Fatal(err)
	}
}

// WantUnchanged checks that the pool still has the size, the generation and the
// workers that it had.
func (s *Server) WantUnchanged(before PoolStatus) {
	s.T.Helper()
	now := s.Pool()
	if got, want := WorkerPIDs(now), WorkerPIDs(before); !slices.Equal(got, want) {
		s.T.Errorf("the workers are %v, want %v", got, want)
	}
	if now.Generation != before.Generation || now.Workers.Max != before.Workers.Max || now.Workers.Preforked != before.Workers.Preforked || now.MasterExits != 0 {
		s.T.Errorf("the pool was %+v and is %+v", before, now)
	}
}

// WantNoneFailed checks that no request failed or was rejected, and that no worker
// crashed.
func (s *Server) WantNoneFailed() {
	s.T.Helper()
	p := s.Pool()
	if p.Requests.Failed != 0 || p.Requests.Rejected != 0 || p.Exits["crashed"] != 0 || p.Exits["unresponsive"] != 0 || p.MasterExits != 0 {
		s.T.Errorf("got %+v, exits %v and %d exits of masters, want none failed, none rejected, no crash", p.Requests, p.Exits, p.MasterExits)
	}
	if lost := s.Logged("worker exited unexpectedly"); len(lost) != 0 {
		s.T.Errorf("workers exited unexpectedly: %v", lost)
	}
}

// WorkerPIDs returns the process IDs of a pool's workers, sorted.
func WorkerPIDs(p PoolStatus) []int {
	var list []int
	for _, w := range p.List {
		list = append(list, w.PID)
	}
	slices.Sort(list)
	return list
}

// WaitWorkers waits until the pool has exactly so many workers, and all processes of
// earlier generations are gone.
func (s *Server) WaitWorkers(b Backend, workers int) PoolStatus {
	s.T.Helper()
	p := s.WaitPool(fmt.Sprintf("one of %d workers", workers), func(p PoolStatus) bool {
		w := p.Workers
		return w.Idle+w.Busy == workers && w.Starting+w.Stopping+w.Draining == 0
	})
	s.WantWorkerProcesses(b, workers)
	return p
}

// WaitForked waits until all processes of a pool run, and returns its status and
// them. A master serves before it has forked the last of its children.
func (s *Server) WaitForked() (p PoolStatus, processes string) {
	s.T.Helper()
	p = s.Pool()
	s.WaitWorkerProcesses(p.Workers.Total + p.Workers.Preforked)
	return p, fmt.Sprint(s.PHPProcesses())
}

// PoolSite is a Caddyfile with one site, whose pool is named main and has these options.
func PoolSite(b Backend, lines ...string) string {
	lines = append(slices.Clone(b.Lines), lines...)
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

// PoolStatus is the status of a pool in the admin API.
type PoolStatus struct {
	Generation  int
	Workers     struct{ Total, Idle, Busy, Draining, Starting, Stopping, Max, Preforked int }
	Queue       struct{ Length, Max int }
	Requests    struct{ Total, Failed, Rejected, Slow, Retried int }
	Exits       map[string]int
	Restarts    int
	MasterExits int `json:"master_exits"`
	Quarantined map[string]string
	List        []WorkerStatus `json:"workers_list"`
}

// WorkerStatus is the status of a worker in the admin API.
type WorkerStatus struct {
	ID, PID, Requests int
	State             string
	Memory            int64 `json:"memory_bytes"`
	Request           struct {
		Method, URI string
		Since       float64 `json:"duration_seconds"`
	}
}

// Pool returns the status of the pool main.
func (s *Server) Pool() PoolStatus {
	s.T.Helper()
	res := s.Admin("GET", "/php_pool/pools/main", "")
	var p PoolStatus
	if err := json.Unmarshal([]byte(res.Text), &p); err != nil || res.StatusCode != http.StatusOK {
		s.T.Fatalf("the pool's status: %s: %s (%v)", res.Status, res.Text, err)
	}
	return p
}

// WaitPool waits until the status of the pool main satisfies a condition, and returns
// the status.
func (s *Server) WaitPool(what string, is func(PoolStatus) bool) PoolStatus {
	s.T.Helper()
	var p PoolStatus
	Eventually(s.T, func() error {
		if p = s.Pool(); !is(p) {
			return fmt.Errorf("the pool is not %s: %+v", what, p)
		}
		return nil
	})
	return p
}

// WantExits waits until the exits of workers, by reason, are these.
func (s *Server) WantExits(want map[string]int) {
	s.T.Helper()
	s.WaitPool(fmt.Sprintf("one with exits %v", want), func(p PoolStatus) bool {
		return fmt.Sprint(p.Exits) == fmt.Sprint(want)
	})
}

// PlainSite is the Caddyfile of most tests.
const PlainSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	PHP {
		capture_stderr
	}
	file_server
}
`

// Restart restarts the pool main by the admin API.
func (s *Server) Restart() error {
	s.T.Helper()
	res := s.Admin("POST", "/php_pool/pools/main/restart", "")
	if res.StatusCode == http.StatusOK {
		return nil
	}
	var response struct{ Error string }
	if err := json.Unmarshal([]byte(res.Text), &response); err != nil || response.Error == "" {
		s.T.Fatalf("got %s: %q", res.Status, res.Text)
	}
	return errors.New(response.Error)
}

// PoolNamed returns the status of another pool.
func (s *Server) PoolNamed(name string) (p PoolStatus) {
	s.T.Helper()
	if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/"+name, "").Text), &p); err != nil {
		s.T.Fatal(err)
	}
	return p
}
