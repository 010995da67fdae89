//go:build unix && !linux

package phpbin

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// end waits until every php-cgi that we started has ended, and kills the
// process group when time is up; then it sends the guardian away, and waits for
// what scripts have started and left in the group.
func (g *group) end() error {
	defer g.thread.stop()
	hurry := g.hurry
	var deadline <-chan time.Time // set when the group has been killed
	dismissed := false
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		if !dismissed && g.count() == 0 {
			g.guard.dismiss()
			dismissed = true
		}
		if dismissed && syscall.Kill(-g.guard.pgid, 0) != nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-hurry:
			hurry = nil
			g.guard.killAll()
			deadline = time.After(killGrace)
		case <-deadline:
			return fmt.Errorf("processes of php-cgi's group %d were killed but do not end", g.guard.pgid)
		}
	}
}

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w elsewhere than on Linux", errors.ErrUnsupported)
}

func killGroup(pgid int) error { return syscall.Kill(-pgid, syscall.SIGKILL) }

func generationINI() []Setting { return nil }
