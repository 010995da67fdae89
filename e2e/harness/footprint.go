//go:build linux

package harness

import (
	"fmt"
	"os"
)

// Footprint is the resources of an idle Caddy.
type Footprint struct {
	Goroutines, Files, Processes int
	RSS, Heap                    int64
}

func (f Footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d open files, %d processes, RSS %.1f MB, heap %.1f MB",
		f.Goroutines, f.Files, f.Processes, float64(f.RSS)/MiB, float64(f.Heap)/MiB)
}

// Footprint measures a Caddy that serves no request. After a reload the numbers
// decrease until the old configuration is gone.
func (s *Server) Footprint() Footprint {
	s.T.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID))
	if err != nil {
		s.T.Fatal(err)
	}
	f := Footprint{Files: len(files), Processes: len(s.PHPProcesses())}
	heap := s.Admin("GET", "/debug/pprof/heap?gc=1&debug=1", "").Text // after a garbage collection
	if _, err := fmt.Sscan(Between(heap, "# HeapAlloc = ", "\n"), &f.Heap); err != nil {
		s.T.Fatal("HeapAlloc:", err)
	}
	if _, err := fmt.Sscanf(s.Admin("GET", "/debug/pprof/goroutine?debug=1", "").Text, "goroutine profile: total %d", &f.Goroutines); err != nil {
		s.T.Fatal(err)
	}
	if _, err := fmt.Sscan(Between(ReadFile(s.T, fmt.Sprintf("/proc/%d/status", s.PID)), "VmRSS:", "kB"), &f.RSS); err != nil {
		s.T.Fatal("VmRSS:", err)
	}
	f.RSS <<= 10
	return f
}

// SettledFootprint returns the footprint once the number of processes has been
// constant for a while: the watchdog of a generation exits a moment after it.
func (s *Server) SettledFootprint() (f Footprint) {
	s.T.Helper()
	same := 0
	Eventually(s.T, func() error {
		before := f.Processes
		if f = s.Footprint(); f.Processes != before {
			same = 0
		}
		if same++; same < 8 {
			return fmt.Errorf("the number of processes changes: %v", f)
		}
		return nil
	})
	return f
}
