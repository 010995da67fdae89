//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// mustReload loads a configuration that has to be taken.
func (s *server) mustReload(caddyfile string) {
	s.t.Helper()
	if err := s.reload(caddyfile); err != nil {
		s.t.Fatal(err)
	}
}

// wantUnchanged checks that the pool is as it was: its size, its generation and
// each of its workers.
func (s *server) wantUnchanged(before poolStatus) {
	s.t.Helper()
	now := s.pool()
	if got, want := pids(now), pids(before); !slices.Equal(got, want) {
		s.t.Errorf("the workers are %v, want %v", got, want)
	}
	if now.Generation != before.Generation || now.Workers.Max != before.Workers.Max || now.Workers.Standby != before.Workers.Standby || now.Restarts != 0 {
		s.t.Errorf("the pool was %+v and is %+v", before, now)
	}
}

// wantNoneFailed checks that nothing has gone wrong in the pool either.
func (s *server) wantNoneFailed() {
	s.t.Helper()
	p := s.pool()
	if p.Requests.Failed != 0 || p.Requests.Refused != 0 || p.Exits["crashed"] != 0 || p.Exits["probe_failed"] != 0 || p.Restarts != 0 {
		s.t.Errorf("got %+v, exits %v and %d restarts, want none failed, none refused, no crash", p.Requests, p.Exits, p.Restarts)
	}
	if lost := s.logged("worker lost"); len(lost) != 0 {
		s.t.Errorf("workers were lost: %v", lost)
	}
}

// pids are the processes of a pool's workers, in order.
func pids(p poolStatus) []int {
	var list []int
	for _, w := range p.List {
		list = append(list, w.PID)
	}
	slices.Sort(list)
	return list
}

// wantOnly waits until there are only so many workers, and the generations
// before have gone, with all processes.
func (s *server) wantOnly(b backend, workers int) poolStatus {
	s.t.Helper()
	p := s.poolBecomes(fmt.Sprintf("one of %d workers", workers), func(p poolStatus) bool {
		w := p.Workers
		return w.Idle+w.Busy == workers && w.Starting+w.Stopping+w.Draining == 0
	})
	s.wantProcesses(b, workers)
	return p
}

// forked is a pool that stands still and its processes, once there are all: a
// master serves before it has forked the last of its slots.
func (s *server) forked() (p poolStatus, processes string) {
	s.t.Helper()
	p = s.pool()
	s.wantWorkers(p.Workers.Total + p.Workers.Standby)
	return p, fmt.Sprint(s.php())
}

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

// plainSite is the Caddyfile of most tests.
const plainSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	PHP {
		capture_stderr
	}
	file_server
}
`

// restart asks for a new generation.
func (s *server) restart() error {
	s.t.Helper()
	res := s.admin("POST", "/php_pool/pools/main/restart", "")
	if res.StatusCode == http.StatusOK {
		return nil
	}
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(res.body), &answer); err != nil || answer.Error == "" {
		s.t.Fatalf("got %s: %q", res.Status, res.body)
	}
	return errors.New(answer.Error)
}

func (s *server) poolNamed(name string) (p poolStatus) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.admin("GET", "/php_pool/pools/"+name, "").body), &p); err != nil {
		s.t.Fatal(err)
	}
	return p
}
