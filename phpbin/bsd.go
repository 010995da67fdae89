//go:build unix && !linux

package phpbin

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// shutdown waits until every php-cgi that was started here has exited, and kills
// the process group when the context of a Close ends.
func (g *group) shutdown(func(int) bool) error {
	defer g.stopThread()
	force := g.force
	var deadline <-chan time.Time // set when the group has been killed
	for wait := time.Millisecond; g.running() > 0; wait = min(2*wait, 32*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-force:
			force = nil
			g.watchdog.killAll()
			deadline = time.After(killGrace)
		case <-deadline:
			g.release()
			return fmt.Errorf("processes in the process group %d of php-cgi were killed but did not exit", g.watchdog.pgid)
		}
	}
	g.leaveJobs()
	return nil
}

// jobs returns the number of programs in the process group except for the watchdog. It
// asks pgrep(1), which macOS, FreeBSD, OpenBSD and NetBSD have.
func (g *group) jobs() (int, error) {
	output, err := exec.Command("pgrep", "-g", strconv.Itoa(g.watchdog.pgid)).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return 0, nil // none
	}
	n := 0
	for pid := range strings.FieldsSeq(string(output)) {
		if pid != strconv.Itoa(g.watchdog.pid()) {
			n++
		}
	}
	return n, err
}

func (g *group) signalJobs(sig syscall.Signal) { _ = syscall.Kill(-g.watchdog.pgid, sig) }

func sharedSupported() error {
	return fmt.Errorf("a shared php-cgi master: %w on systems other than Linux", errors.ErrUnsupported)
}

// watchdogAttr returns the attributes for starting the watchdog.
func watchdogAttr(pgid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
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

func newGroupTag() string { return "" }

// watchWatchdog does not watch: the number of the process group is reserved for as long
// as a watchdog that was killed is not reaped.
func watchWatchdog(*exec.Cmd, func()) *child { return nil }
