//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

const checkScript = "/load/check.php"

// TestReload_UnchangedUnderLoad also checks that the processes and the contents of
// their OPcaches stay.
func TestReload_UnchangedUnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		site := harness.TrafficSite(b, "manager static", "workers 4", "ini opcache.enable 1", "ini opcache.file_update_protection 0")
		s := harness.Start(t, b, site)
		before, processes := s.WaitForked()
		l := s.StartTraffic(checkScript, 4)
		caches := opcacheHits{}
		for i := range harness.Rounds(50) {
			s.MustReload(site)
			if i%10 == 0 {
				caches.see(s)
			}
			l.WaitRequests(5)
		}
		caches.see(s)
		l.Finish()
		s.WantUnchanged(before)
		if got := fmt.Sprint(s.PHPProcesses()); got != processes {
			t.Errorf("the processes are\n%s\nand were\n%s", got, processes)
		}
		s.WantNoneFailed()
	})
}

// opcacheHits records, by process, when its OPcache was started and how often
// opcache.php was found in it.
type opcacheHits map[int][2]int

func (c opcacheHits) see(s *harness.Server) {
	s.T.Helper()
	for range 8 {
		var a struct{ PID, Hits, Start int }
		if err := json.Unmarshal([]byte(s.GetFrom(s.Port, "/opcache.php")), &a); err != nil {
			s.T.Fatal(err)
		}
		if old, ok := c[a.PID]; ok && (a.Start != old[0] || a.Hits <= old[1]) {
			s.T.Errorf("the OPcache of process %d began at %d and had %d hits, and now %d and %d", a.PID, old[0], old[1], a.Start, a.Hits)
		}
		c[a.PID] = [2]int{a.Start, a.Hits}
	}
}

// TestReload_ResizeUnderLoad makes the pool larger and smaller. Workers that are
// not needed are stopped, the others stay. A new generation is started only if the
// master was started for fewer workers.
func TestReload_ResizeUnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		sized := func(n int) string { return harness.TrafficSite(b, "manager static", fmt.Sprint("workers ", n)) }
		s := harness.Start(t, b, sized(4))
		l := s.StartTraffic(checkScript, 4)
		before, slots := s.Pool(), 4
		for range harness.Rounds(50) {
			n := 1 + rand.IntN(9)
			s.MustReload(sized(n))
			p := s.WaitPool(fmt.Sprintf("one of %d workers", n), func(p harness.PoolStatus) bool {
				w := p.Workers
				return w.Max == n && w.Idle+w.Busy == n && w.Starting+w.Stopping+w.Draining == 0
			})
			if p.Generation != before.Generation {
				if b.Name == harness.SingleLean.Name || n <= slots {
					t.Errorf("generation %d was replaced by %d for %d workers after %d", before.Generation, p.Generation, n, before.Workers.Max)
				}
				slots = n
			} else if kept := len(intersection(harness.WorkerPIDs(before), harness.WorkerPIDs(p))); kept != min(n, before.Workers.Max) {
				t.Errorf("%d workers after %d: %v, of which only %d are of %v", n, before.Workers.Max, harness.WorkerPIDs(p), kept, harness.WorkerPIDs(before))
			}
			before = p
			l.WaitRequests(5)
		}
		l.Finish()
		s.WantWorkerProcesses(b, before.Workers.Max)
		s.WantNoneFailed()
	})
}

// intersection returns the elements that are in both lists.
func intersection(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(n int) bool { return !slices.Contains(b, n) })
}

// TestReload_INIChangeUnderLoad checks that each request runs with the settings of the
// active configuration: after one has run with the new ones, no later one runs with
// the old ones.
func TestReload_INIChangeUnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		marked := func(n int) string {
			return harness.TrafficSite(b, "manager static", "workers 3", fmt.Sprintf("ini user_agent %d", n))
		}
		s := harness.Start(t, b, marked(0))
		l := s.StartTraffic(checkScript, 4)
		before := s.Pool()
		for i := range harness.Rounds(20) {
			l.AllowMark(i + 1)
			s.MustReload(marked(i + 1))
			l.RequireMark(i + 1)
			p := s.Pool()
			if p.Generation <= before.Generation {
				t.Errorf("generation %d after generation %d", p.Generation, before.Generation)
			}
			before = p
			l.WaitRequests(10)
		}
		l.Finish()
		s.WaitWorkers(b, 3)
		s.WantNoneFailed()
		entries := s.Logged("new generation active")
		if len(entries) != harness.Rounds(20) || entries[0]["reason"] != "config reload" {
			t.Errorf("got log entries %v, want one for each reload", entries)
		}
	})
}

// TestReload_ChangedPHPFiles reloads the same configuration after php.ini and
// php-cgi have changed.
func TestReload_ChangedPHPFiles(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		site := customPHP(s, b, "manager static", "workers 2")
		if err := s.Run(site); err != nil {
			t.Fatal(err)
		}
		l := s.StartTraffic(checkScript, 4)
		before := s.Pool()
		l.AllowMark(1)
		setMark(s, 1)
		s.MustReload(site)
		l.RequireMark(1)
		p := s.Pool()
		if p.Generation <= before.Generation {
			t.Errorf("an edited php.ini has left generation %d", p.Generation)
		}
		p = s.WaitWorkers(b, 2)
		s.MustReload(site)
		s.WantUnchanged(p)
		newPHP(s)
		s.MustReload(site)
		if got := s.Pool().Generation; got <= p.Generation {
			t.Errorf("another php-cgi has left generation %d", got)
		}
		l.Finish()
		s.WaitWorkers(b, 2)
		s.WantNoneFailed()
	})
}

// customPHP is a TrafficSite with its own php-cgi, php.ini and scan directory, which
// the test may change.
func customPHP(s *harness.Server, b harness.Backend, lines ...string) string {
	s.T.Helper()
	newPHP(s)
	setMark(s, 0)
	harness.WriteFile(s.T, filepath.Join(s.Dir, "conf.d", "opcache.ini"), "zend_extension=opcache\n")
	return harness.TrafficSite(b, append([]string{"binary {$DIR}/php-cgi", "ini_file {$DIR}/php.ini", "ini_scan_dir {$DIR}/conf.d"}, lines...)...)
}

// setMark replaces the php.ini of customPHP.
func setMark(s *harness.Server, mark int, lines ...string) {
	s.T.Helper()
	harness.ReplaceFile(s.T, filepath.Join(s.Dir, "php.ini"), fmt.Sprintf("user_agent=%d\n%s\n", mark, strings.Join(lines, "\n")), 0o644)
}

// newPHP replaces the php-cgi of customPHP by a new copy, as an upgrade does.
func newPHP(s *harness.Server) {
	s.T.Helper()
	harness.ReplaceFile(s.T, filepath.Join(s.Dir, "php-cgi"), harness.ReadFile(s.T, harness.PHPCGI(s.T)), 0o755)
}

// TestReload_RemovedPoolFinishesRequests renames the pool while one request runs in
// it and one waits.
func TestReload_RemovedPoolFinishesRequests(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "workers 1"))
		h := s.Hold("gate")
		h.Add("")
		h.WaitRunning(1)
		h.Add("")
		s.WaitPool("one waits", func(p harness.PoolStatus) bool { return p.Queue.Length == 1 })
		renamed := strings.Replace(harness.PoolSite(b, "workers 1"), "name main", "name other", 1)
		if err := s.Reload(renamed); err != nil {
			t.Fatal(err)
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
		h.Release()
		h.Want(0, 200)
		h.Want(1, 200)
	})
}
