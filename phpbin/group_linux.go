package phpbin

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// shutdown waits until the process group is empty except for the watchdog, kills
// it when the context of a Close ends, and releases what the group has. Its
// processes have received their signals already.
//
// The watchdog is stopped last, so that no php-cgi outlives us even now, and so
// that the group's number stays reserved while the group may be killed.
func (g *group) shutdown() error {
	err := g.waitEmpty()
	g.watchdog.stop()
	g.thread.stop()
	// Zombies that were reparented to process 1 stay until it reaps them, usually
	// at once. Wait a little, so that normally nothing is left when we return.
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if syscall.Kill(-g.watchdog.pgid, 0) != nil {
			break
		}
	}
	return err
}

// waitEmpty waits for the last php-cgi, and for programs that scripts have left in
// the group.
func (g *group) waitEmpty() error {
	var deadline <-chan time.Time // set when the group has been killed
	force := g.force
	for wait := time.Millisecond; ; wait = min(2*wait, 32*time.Millisecond) {
		n, err := g.remaining()
		if err != nil || n == 0 {
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
			return fmt.Errorf("%d processes in the process group %d of php-cgi were killed but did not exit", n, g.watchdog.pgid)
		}
	}
}

// remaining counts the running processes of the group except for the watchdog. It
// reaps zombies that are our children: if we are process 1, as in a container, the
// children of a dead master become ours.
func (g *group) remaining() (int, error) {
	list, err := procfs.Group(g.watchdog.pgid)
	if err != nil {
		return 0, err
	}
	n, self := 0, os.Getpid()
	for _, p := range list {
		switch {
		case p.PID == g.watchdog.cmd.Process.Pid:
		case g.startedHere(p.PID): // until os/exec has reaped it
			n++
		case p.Zombie() && p.PPID == self:
			_, _ = unix.Wait4(p.PID, nil, unix.WNOHANG, nil)
		case p.Zombie(): // its parent reaps it
		default:
			n++
		}
	}
	return n, nil
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
