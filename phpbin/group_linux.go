package phpbin

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// end waits until the process group is empty but for the watchdog, kills it
// when time is up, and clears away. It has been asked to go already.
//
// The watchdog stays to the last, so that even now no php-cgi outlives us, and
// so that the number of the group is taken as long as it may be killed.
func (g *group) shutdown() error {
	err := g.waitEmpty()
	g.watchdog.stop()
	g.thread.stop()
	// What has ended but belongs to process 1 is there until that has looked,
	// which is its business; usually it does at once.
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if syscall.Kill(-g.watchdog.pgid, 0) != nil {
			break
		}
	}
	return err
}

// empty waits for the last php-cgi, and for what scripts have started and left
// in the group.
func (g *group) waitEmpty() error {
	var deadline <-chan time.Time // set when the group has been killed
	force := g.force
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		left, err := g.remaining()
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-time.After(wait):
		case <-force:
			force = nil
			g.watchdog.killAll()
			deadline = time.After(killGrace)
			wait = time.Millisecond
		case <-deadline:
			return fmt.Errorf("%d processes of php-cgi's group %d were killed but do not end", left, g.watchdog.pgid)
		}
	}
}

// left counts the processes of the group but for the watchdog and for what has
// ended, which it reaps where that is on us: a child whose master is dead
// becomes ours if we are process 1, as in a container.
func (g *group) remaining() (int, error) {
	list, err := groupMembers(g.watchdog.pgid)
	if err != nil {
		return 0, err
	}
	n, self := 0, os.Getpid()
	for _, p := range list {
		switch {
		case p.pid == g.watchdog.cmd.Process.Pid:
		case g.startedHere(p.pid): // until os/exec has reaped it
			n++
		case p.zombie && p.ppid == self:
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
		case p.zombie: // on its parent, whoever that is
		default:
			n++
		}
	}
	return n, nil
}

// sharedSupported reports whether what Shared is built on is there.
func sharedSupported() error {
	if err := checkPidfds(); err != nil {
		return fmt.Errorf("a shared php-cgi master needs Linux 5.3: %w: %w", err, errors.ErrUnsupported)
	}
	if _, err := readStat(os.Getpid()); err != nil {
		return fmt.Errorf("a shared php-cgi master needs /proc: %w: %w", err, errors.ErrUnsupported)
	}
	return nil
}

func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

func ownOPcacheINI() []Setting { return nil }
