package phpbin

import (
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// Many ask for other groups all the while, and some of what they see is shared.
func TestWhoAsksForAGroupSeesWhatHasHappenedBefore(t *testing.T) {
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
				if list, err := groupMembers(syscall.Getpgrp()); err != nil || len(list) == 0 {
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
		list, err := groupMembers(pid)
		if err != nil || !slices.ContainsFunc(list, func(s stat) bool { return s.pid == pid }) {
			t.Errorf("process %d has been started: got %v, %v", pid, list, err)
		}
		cmd.Process.Kill() // Wait tells
		cmd.Wait()         // "signal: killed"
		if list, err := groupMembers(pid); err != nil || len(list) != 0 {
			t.Errorf("process %d has ended: got %v, %v", pid, list, err)
		}
	}
}
