//go:build linux

package harness

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// WantWorkerProcesses waits until /proc has the right number of workers. In single
// mode each worker is a process; in shared mode there are also preforked children.
func (s *Server) WantWorkerProcesses(b Backend, workers int) {
	s.T.Helper()
	Eventually(s.T, func() error {
		want := workers
		if b.Name == SharedLean.Name {
			want += s.Pool().Workers.Preforked
		}
		if got := s.WorkerProcesses(); len(got) != want {
			return fmt.Errorf("got %d worker processes, want %d: %v", len(got), want, got)
		}
		return nil
	})
}

// CountDistinct returns the number of different elements.
func CountDistinct(list []int) int {
	list = slices.Sorted(slices.Values(list))
	return len(slices.Compact(list))
}

// WorkerProcesses returns the processes of php-cgi without the masters.
func (s *Server) WorkerProcesses() []Process {
	var all []Process
	parents := map[int]bool{}
	for _, p := range s.Processes() {
		if strings.Contains(p.Args, "php-cgi") {
			all = append(all, p)
			parents[p.PPID] = true
		}
	}
	var leaves []Process
	for _, p := range all {
		if !parents[p.PID] && !strings.HasPrefix(p.Args, "/bin/sh") {
			leaves = append(leaves, p)
		}
	}
	return leaves
}

// WaitWorkerProcesses waits until there are at least n worker processes.
func (s *Server) WaitWorkerProcesses(n int) {
	s.T.Helper()
	Eventually(s.T, func() error {
		if got := s.WorkerProcesses(); len(got) < n {
			return fmt.Errorf("got %d workers, want %d: %v", len(got), n, got)
		}
		return nil
	})
}

// PHPProcesses lists every process but Caddy itself: masters, workers, watchdogs, and
// processes that scripts have started.
func (s *Server) PHPProcesses() []Process {
	return slices.DeleteFunc(s.Processes(), func(p Process) bool { return p.PID == s.PID || p.Args == "" })
}

// Masters returns the processes of php-cgi that have children.
func (s *Server) Masters() []Process {
	all := s.PHPProcesses()
	return slices.DeleteFunc(slices.Clone(all), func(p Process) bool {
		return !strings.Contains(p.Args, "php-cgi") || !slices.ContainsFunc(all, func(c Process) bool { return c.PPID == p.PID })
	})
}

// PSS returns the proportional set size of processes, in bytes. own is without pages
// of files, whose share depends on other processes that run the same program.
func PSS(tb testing.TB, all []Process) (sum, own int64) {
	tb.Helper()
	for _, p := range all {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
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
				tb.Fatalf("%s of process %d: %v", name, p.PID, err)
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

// Kill sends a signal to a worker.
func Kill(tb testing.TB, pid int, sig syscall.Signal) {
	tb.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		tb.Errorf("sending %v to %d: %v", sig, pid, err)
	}
}

// CPUTime returns the processor time that processes have used. Those that have exited
// do not count.
func CPUTime(all []Process) (sum time.Duration) {
	for _, p := range all {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			continue
		}
		// "pid (name) state …": utime and stime are the 12th and 13th from there.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		var user, system time.Duration
		fmt.Sscan(fields[11], &user)
		fmt.Sscan(fields[12], &system)
		sum += (user + system) * (time.Second / 100) // USER_HZ
	}
	return sum
}

// State returns the state of a process as in /proc/PID/stat: 'T' if it is suspended. It
// is 0 if the process does not exist.
func State(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return stat[strings.LastIndexByte(string(stat), ')')+2]
}
