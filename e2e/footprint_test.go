//go:build linux

package e2e

import (
	"fmt"
	"os"
)

// footprint is what Caddy holds when nothing is going on.
type footprint struct {
	goroutines, files, processes int
	rss, heap                    int64
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d open files, %d processes, RSS %.1f MB, heap %.1f MB",
		f.goroutines, f.files, f.processes, float64(f.rss)/mib, float64(f.heap)/mib)
}

// footprint measures a Caddy at rest: what a reload has left to end has ended
// when the numbers are as small as they get.
func (s *server) footprint() footprint {
	s.t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
	if err != nil {
		s.t.Fatal(err)
	}
	f := footprint{files: len(files), processes: len(s.php())}
	heap := s.admin("GET", "/debug/pprof/heap?gc=1&debug=1", "").body // after a garbage collection
	if _, err := fmt.Sscan(between(heap, "# HeapAlloc = ", "\n"), &f.heap); err != nil {
		s.t.Fatal("HeapAlloc:", err)
	}
	if _, err := fmt.Sscanf(s.admin("GET", "/debug/pprof/goroutine?debug=1", "").body, "goroutine profile: total %d", &f.goroutines); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Sscan(between(readFile(s.t, fmt.Sprintf("/proc/%d/status", s.PID)), "VmRSS:", "kB"), &f.rss); err != nil {
		s.t.Fatal("VmRSS:", err)
	}
	f.rss <<= 10
	return f
}

// settled is the footprint when for a while no process has come or gone: the
// guardian of a generation that has ended goes a moment after it.
func (s *server) settled() (f footprint) {
	s.t.Helper()
	same := 0
	eventually(s.t, func() error {
		before := f.processes
		if f = s.footprint(); f.processes != before {
			same = 0
		}
		if same++; same < 8 {
			return fmt.Errorf("the processes come and go: %v", f)
		}
		return nil
	})
	return f
}
