package phpbin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// shutdown waits until no php-cgi is left, in the process group or outside of it, and kills those that
// remain when the context of a Close ends. Those that spare reports have received TERM;
// the others are killed at once: children that have never had a connection, which the
// master has forked in advance, and copies that scripts have made of their process.
//
// A child that exits by itself frees all memory that it shares with the master, whose
// pages are copied for that. It takes 8 ms of processor time, so 200 pools with 9
// such children each took 8 s to stop on two cores.
func (g *group) shutdown(spare func(pid int) bool) error {
	err := g.awaitPHP(spare, func() ([]procfs.Stat, error) {
		running, _, err := g.members()
		if err != nil { // without /proc
			return g.started(), nil
		}
		return running, nil
	})
	if err == nil {
		err = g.awaitPHP(spare, g.strays())
	}
	g.stopThread()
	if err != nil {
		g.watchdog.killAll()
	}
	g.leaveJobs()
	// Zombies that were reparented to process 1 stay until it reaps them, usually
	// at once. Wait a little, so that normally nothing is left when we return.
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if !g.isReleased() || syscall.Kill(-g.watchdog.pgid, 0) != nil {
			break
		}
	}
	return err
}

func (g *group) isReleased() bool {
	select {
	case <-g.released:
		return true
	default:
		return false
	}
}

// awaitPHP is shutdown for the php-cgi that list returns.
func (g *group) awaitPHP(spare func(pid int) bool, list func() ([]procfs.Stat, error)) error {
	var deadline <-chan time.Time // set when all are killed
	force := g.force
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		running, err := list()
		if err != nil || len(running) == 0 {
			return err
		}
		for _, p := range running {
			if force == nil || !spare(p.PID) {
				g.killPHP(p)
			}
		}
		select {
		case <-time.After(wait):
		case <-force:
			force = nil
			deadline = time.After(killGrace)
			wait = time.Millisecond
		case <-deadline:
			return fmt.Errorf("%d php-cgi in the process group %d were killed but did not exit", len(running), g.watchdog.pgid)
		}
	}
}

// started returns the processes that were started here and are not reaped.
func (g *group) started() (list []procfs.Stat) {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	for pid := range g.pids {
		list = append(list, procfs.Stat{PID: pid})
	}
	return list
}

// killPHP kills a member of the group, unless its pid was reused.
func (g *group) killPHP(p procfs.Stat) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		if !errors.Is(err, unix.ESRCH) && g.startedHere(p.PID) { // before Linux 5.3
			_ = unix.Kill(p.PID, unix.SIGKILL)
		}
		return
	}
	defer unix.Close(fd)
	if g.startedHere(p.PID) { // and is not reaped
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	} else if now, err := procfs.ReadStat(p.PID); err == nil && now.StartTime == p.StartTime && now.PGID == p.PGID {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// members returns the php-cgi of the group that run, and the number of its other
// programs except for the watchdog. It reaps zombies that are our children: if we are
// process 1, as in a container, the children of a dead master become ours.
func (g *group) members() (running []procfs.Stat, jobs int, err error) {
	list, err := procfs.Group(g.watchdog.pgid)
	if err != nil {
		return nil, 0, err
	}
	self := os.Getpid()
	for _, p := range list {
		switch {
		case p.PID == g.watchdog.pid():
		case g.startedHere(p.PID): // until os/exec has reaped it
			running = append(running, p)
		case p.Zombie() && p.PPID == self:
			_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
		case p.Zombie(): // its parent reaps it
		case serves(p.PID):
			running = append(running, p)
		default:
			jobs++
		}
	}
	return running, jobs, nil
}

// jobs returns the number of programs in the group except for the watchdog. When no
// php-cgi serves, what members takes for one is a program that is exiting.
func (g *group) jobs() (int, error) {
	exiting, n, err := g.members()
	return len(exiting) + n, err
}

func (g *group) signalJobs(sig syscall.Signal) { _ = syscall.Kill(-g.watchdog.pgid, sig) }

// serves reports whether a process of a group is a php-cgi that serves: one that was
// started here, a child, or a copy of one. These have the arguments of the first. A
// php-cgi that a script has started has others. A process that is exiting has neither
// arguments nor a program, and may be one of them.
func serves(pid int) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(args) == 0 {
		return procfs.ReadLink(pid, "exe") == ""
	}
	return bytes.Contains(args, []byte("\x00-b\x00"+bindDir+"/"+dirPrefix))
}

// procAttr returns the attributes for starting php-cgi in the process group pgid,
// or with 0 as the leader of a new one. parentDeathSignal is sent to it when the
// spawn thread ends, and so also when this process is killed; Go sets it after the
// change of user, which would clear it.
func procAttr(o Options, pgid int, parentDeathSignal syscall.Signal) *syscall.SysProcAttr {
	pidfd := -1
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid, Pdeathsig: parentDeathSignal, PidFD: &pidfd}
	setCredential(attr, o.Credential)
	return attr
}

// withoutTerminal makes cmd start without our controlling terminal, if we have one
// (`caddy run` in a shell). Otherwise the terminal would stop a program that a
// script runs and that prompts for a password (git, ssh), and PHP as another user
// could insert input into root's terminal (TIOCSTI).
//
// A new session would do that too, but then the watchdog could not join its
// process group. Go can detach the terminal (Noctty) only if it is fd 0, where
// php-cgi has /dev/null; so a shell opens that. Call the returned function after the
// start.
func withoutTerminal(cmd *exec.Cmd) func() {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return func() {}
	}
	cmd.Stdin = tty
	cmd.SysProcAttr.Noctty = true
	cmd.Args = append([]string{"/bin/sh", "-c", `exec "$@" </dev/null`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return func() { _ = tty.Close() }
}
