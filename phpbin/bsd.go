//go:build unix && !linux

package phpbin

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// shutdown waits until every php-cgi that was started here has exited, and kills
// the process group when the context of a Close ends. Then it stops the watchdog
// and waits for programs that scripts have left in the group.
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
			return fmt.Errorf("processes in the process group %d of php-cgi were killed but did not exit", g.watchdog.pgid)
		}
	}
}

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w on systems other than Linux", errors.ErrUnsupported)
}

// procAttr returns the attributes for starting php-cgi in the process group pgid.
func procAttr(o Options, pgid int, _ syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
	setCredential(attr, o.Credential)
	return attr
}

func (e *endpoint) setPath(o Options) error { return e.setVisiblePath(o) }

func (e *endpoint) findLocked() error { return e.findVisibleLocked() }

// ownTag returns "": only Linux shows which process holds which socket.
func ownTag() string { return "" }
