//go:build unix

package phpbin

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// watchdogScript kills its own process group (all php-cgi of a launcher and what
// their scripts have started) when its stdin reaches EOF without the stop message,
// which means that this process has died. Before, it removes the directory in $1, if
// any, which php-cgi still reads while this process lives. "kill 0" cannot hit another group that
// was given the same number. Signals are ignored because php-cgi's master sends
// TERM to its whole group.
const watchdogScript = `trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP TTIN TTOU
echo ready
IFS= read -r word
[ "$word" = stop ] && exit
[ -z "$1" ] || rm -rf -- "$1"
kill -KILL 0`

// watchdog is a shell in the process group of php-cgi. It runs as our user, so that
// scripts of another user cannot kill it. Only stop reaps it, so the number of the
// group stays reserved until then.
type watchdog struct {
	cmd      *exec.Cmd
	stopPipe *os.File
	pgid     int
}

// newWatchdog starts a watchdog in the process group pgid, or with 0 in a new one,
// and returns when it is running. It removes dir, unless that is "", if this process
// dies.
func newWatchdog(pgid int, dir string) (_ *watchdog, err error) {
	stdin, stopPipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	ready, stdout, err := os.Pipe()
	if err != nil {
		_ = stopPipe.Close()
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "php-pool-watchdog", dir)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout = stdin, stdout
	cmd.SysProcAttr = watchdogAttr(pgid)
	err = cmd.Start()
	_ = stdout.Close()
	if err != nil {
		_ = stopPipe.Close()
		return nil, fmt.Errorf("starting the watchdog of php-cgi (/bin/sh): %w", err)
	}
	w := &watchdog{cmd: cmd, stopPipe: stopPipe, pgid: pgid}
	if pgid == 0 {
		w.pgid = cmd.Process.Pid
	}
	_ = ready.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(ready, make([]byte, len("ready\n"))); err != nil {
		w.stop()
		return nil, fmt.Errorf("the watchdog of php-cgi (/bin/sh) did not start: %w", err)
	}
	return w, nil
}

// stop ends the watchdog and waits for its exit. Call it last.
func (w *watchdog) stop() {
	_, err := w.stopPipe.WriteString("stop\n")
	if err != nil {
		_ = w.cmd.Process.Kill() // before it reads EOF
	}
	stuck := time.AfterFunc(time.Second, func() { _ = w.cmd.Process.Kill() })
	_ = w.cmd.Wait()
	stuck.Stop()
	_ = w.stopPipe.Close()
}

// killAll kills every process of the group, including the watchdog.
func (w *watchdog) killAll() { _ = syscall.Kill(-w.pgid, syscall.SIGKILL) }

// adopt does nothing: processes join the group when they start.
func (w *watchdog) adopt(*os.Process) error { return nil }
