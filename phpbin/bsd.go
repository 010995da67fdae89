//go:build unix && !linux

package phpbin

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// end waits until every php-cgi that we started has ended, and kills the
// process group when time is up; then it sends the watchdog away, and waits for
// what scripts have started and left in the group.
func (g *group) shutdown() error {
	defer g.thread.stop()
	force := g.force
	var deadline <-chan time.Time // set when the group has been killed
	stopped := false
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		if !stopped && g.running() == 0 {
			g.watchdog.stop()
			stopped = true
		}
		if stopped && syscall.Kill(-g.watchdog.pgid, 0) != nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-force:
			force = nil
			g.watchdog.killAll()
			deadline = time.After(killGrace)
		case <-deadline:
			return fmt.Errorf("processes of php-cgi's group %d were killed but do not end", g.watchdog.pgid)
		}
	}
}

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w elsewhere than on Linux", errors.ErrUnsupported)
}

// procAttr is how a php-cgi is started in the process group pgid.
func procAttr(o Options, pgid int, _ syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
	setCredential(attr, o.Credential)
	return attr
}

// unlink leaves the socket where it is: only Linux can reach it without a path.
func (e *endpoint) unlink() {}

// mark is empty: only Linux shows who holds which socket.
func ownTag() string { return "" }
