//go:build linux

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wantProcesses looks at /proc: in single mode each worker is a process, in
// shared mode each slot, be it a worker's or a standby.
func (s *server) wantProcesses(b backend, workers int) {
	s.t.Helper()
	eventually(s.t, func() error {
		want := workers
		if b.name == sharedLean.name {
			want += s.pool().Workers.Standby
		}
		if got := s.workers(); len(got) != want {
			return fmt.Errorf("got %d processes of php-cgi that serve, want %d: %v", len(got), want, got)
		}
		return nil
	})
}

func distinct(list []int) int {
	list = slices.Sorted(slices.Values(list))
	return len(slices.Compact(list))
}

// workers are the processes of php-cgi that serve, without a master.
func (s *server) workers() []process {
	var all []process
	parents := map[int]bool{}
	for _, p := range s.processes() {
		if strings.Contains(p.args, "php-cgi") {
			all = append(all, p)
			parents[p.ppid] = true
		}
	}
	var leaves []process
	for _, p := range all {
		if !parents[p.pid] && !strings.HasPrefix(p.args, "/bin/sh") {
			leaves = append(leaves, p)
		}
	}
	return leaves
}

func (s *server) wantWorkers(n int) {
	s.t.Helper()
	eventually(s.t, func() error {
		if got := s.workers(); len(got) < n {
			return fmt.Errorf("got %d workers, want %d: %v", len(got), n, got)
		}
		return nil
	})
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

// cpuTime sums up what processes have used; those that have ended count for
// nothing.
func cpuTime(all []process) (sum time.Duration) {
	for _, p := range all {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
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
