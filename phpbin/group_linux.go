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
		case p.Zombie(): // on its parent, whoever that is
		default:
			n++
		}
	}
	return n, nil
}

// procAttr is how a php-cgi is started in the process group pgid, or with 0 as
// the leader of a new one. parentDeathSignal is sent to it when the launcher's thread
// ends, that is also when we are killed; Go sets it after the change of user,
// which would clear it.
func procAttr(o Options, pgid int, parentDeathSignal syscall.Signal) *syscall.SysProcAttr {
	pidfd := -1
	attr := &syscall.SysProcAttr{Setpgid: true, Pgid: pgid, Pdeathsig: parentDeathSignal, PidFD: &pidfd}
	setCredential(attr, o.Credential)
	return attr
}

// withoutTerminal makes cmd start without our controlling terminal, if we have
// one: "caddy run" by hand. A program that a script runs and that asks for a
// password (git, ssh) would be stopped by the terminal for ever, and PHP as
// another user could type into root's terminal (TIOCSTI).
//
// A session of its own would do, but then the watchdog could not join its
// process group. Go can give the terminal up (Noctty) only if it is fd 0, which
// is where php-cgi wants its socket, so a shell moves that there. The returned
// function is to be called after the start.
func withoutTerminal(cmd *exec.Cmd) func() {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return func() {}
	}
	socket, ok := cmd.Stdin.(*os.File)
	if !ok {
		return func() { _ = tty.Close() }
	}
	cmd.Stdin, cmd.ExtraFiles = tty, []*os.File{socket} // fd 3
	cmd.SysProcAttr.Noctty = true
	cmd.Args = append([]string{"/bin/sh", "-c", `exec "$@" <&3 3<&-`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return func() { _ = tty.Close() }
}
