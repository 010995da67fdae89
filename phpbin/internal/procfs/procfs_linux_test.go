package procfs

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Other goroutines query other groups at the same time, and share some scans.
func TestGroup_SeesEarlierStartsAndExits(t *testing.T) {
	done := make(chan struct{})
	var others sync.WaitGroup
	defer others.Wait()
	defer close(done)
	for range 8 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if list, err := Group(syscall.Getpgrp()); err != nil || len(list) == 0 {
					t.Errorf("our own group: got %v, %v", list, err)
					return
				}
			}
		})
	}
	for range 20 {
		cmd := exec.Command("sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := cmd.Process.Pid
		list, err := Group(pid)
		if err != nil || !slices.ContainsFunc(list, func(s Stat) bool { return s.PID == pid }) {
			t.Errorf("process %d was started: got group %v, %v", pid, list, err)
		}
		cmd.Process.Kill() // an error shows in Wait
		cmd.Wait()         // "signal: killed"
		if list, err := Group(pid); err != nil || len(list) != 0 {
			t.Errorf("process %d has exited: got group %v, %v", pid, list, err)
		}
	}
}

// FuzzProc parses any text as files of /proc: the name of a process is chosen by
// the process.
func FuzzProc(f *testing.F) {
	f.Add([]byte("123 (a) b) S 1 123 123 0 -1 4194304 92 0 0 0 7 8 0 0 20 0 1 0 4711 1 2\n"))
	f.Add([]byte("Rss: 12 kB\nPss:  10 kB\nPrivate_Dirty:   8 kB\nPrivate_Hugetlb:  0 kB\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseStat(1, data); err == nil && !bytes.Contains(data, []byte(") ")) {
			t.Errorf("got %+v", s)
		}
		if _, err := parsePrivateMemory(1, data); err != nil && !strings.Contains(err.Error(), "smaps_rollup") {
			t.Errorf("got %v", err)
		}
	})
}
