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

// watchdogScript kills its own process group, that is all php-cgi of a
// launcher and what their scripts started, when its stdin ends without a word:
// this process has then gone, however it went. "kill 0" cannot hit a group that
// merely got the same number. Signals are ignored because the TERM of php-cgi's
// master goes to the whole group.
const watchdogScript = `trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP TTIN TTOU
echo ready
IFS= read -r word
[ "$word" = stop ] || kill -KILL 0`

// watchdog is a shell in the process group of php-cgi. It runs as we
// do, so that the scripts of another user cannot kill it, and as nothing reaps
// it but stop, the number of the group stays taken until then.
type watchdog struct {
	cmd      *exec.Cmd
	stopPipe *os.File
	pgid     int
}

// newWatchdog starts a watchdog in the process group pgid, or with 0 in a new one.
func newWatchdog(pgid int) (_ *watchdog, err error) {
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
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "php-pool-watchdog")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout = stdin, stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
	err = cmd.Start()
	_ = stdout.Close()
	if err != nil {
		_ = stopPipe.Close()
		return nil, fmt.Errorf("starting the watchdog of php-cgi: %w", err)
	}
	w := &watchdog{cmd: cmd, stopPipe: stopPipe, pgid: pgid}
	if pgid == 0 {
		w.pgid = cmd.Process.Pid
	}
	_ = ready.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(ready, make([]byte, len("ready\n"))); err != nil {
		w.stop()
		return nil, fmt.Errorf("the watchdog of php-cgi did not start: %w", err)
	}
	return w, nil
}

// stop lets the watchdog go, and waits until it has. Call it last.
func (w *watchdog) stop() {
	_, err := w.stopPipe.WriteString("stop\n")
	if err != nil {
		_ = w.cmd.Process.Kill() // before it sees the end of its stdin
	}
	stuck := time.AfterFunc(time.Second, func() { _ = w.cmd.Process.Kill() })
	_ = w.cmd.Wait()
	stuck.Stop()
	_ = w.stopPipe.Close()
}

// killAll kills every process of the group, the watchdog too.
func (w *watchdog) killAll() { _ = syscall.Kill(-w.pgid, syscall.SIGKILL) }

// adopt is for systems where a process does not join the group by itself.
func (w *watchdog) adopt(*os.Process) error { return nil }
