//go:build unix

package phpbin

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
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
// scripts of another user cannot kill it. On Linux one that was killed is replaced;
// elsewhere only stop reaps it, so that the number of the group stays reserved until then.
type watchdog struct {
	pgid   int
	dir    string
	notice func(message string, err error)

	mu       sync.Mutex // held while another one starts
	cmd      *exec.Cmd
	stopPipe *os.File
	since    time.Time     // when it was started
	watched  *child        // nil if it is not watched
	stopped  bool          // it is to exit
	stopping chan struct{} // closed when stopped is set
}

// newWatchdog starts a watchdog in the process group pgid, or with 0 in a new one,
// and returns when it is running. It removes dir, unless that is "", if this process
// dies. notice is called when the watchdog was killed.
func newWatchdog(pgid int, dir string, notice func(message string, err error)) (*watchdog, error) {
	w := &watchdog{pgid: pgid, dir: dir, notice: notice, stopping: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.startLocked(); err != nil {
		return nil, err
	}
	return w, nil
}

// startLocked starts a shell and returns when it is running. On error it leaves nothing
// behind.
func (w *watchdog) startLocked() error {
	stdin, stopPipe, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	ready, stdout, err := os.Pipe()
	if err != nil {
		_ = stopPipe.Close()
		return err
	}
	defer ready.Close()
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "php-pool-watchdog", w.dir)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout = stdin, stdout
	cmd.SysProcAttr = watchdogAttr(w.pgid)
	err = cmd.Start()
	_ = stdout.Close()
	if err != nil {
		_ = stopPipe.Close()
		return fmt.Errorf("starting the watchdog of php-cgi (/bin/sh): %w", err)
	}
	_ = ready.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(ready, make([]byte, len("ready\n"))); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stopPipe.Close()
		return fmt.Errorf("the watchdog of php-cgi (/bin/sh) did not start: %w", err)
	}
	if w.pgid == 0 {
		w.pgid = cmd.Process.Pid
	}
	if w.stopPipe != nil {
		_ = w.stopPipe.Close() // that of the one that was killed
	}
	w.cmd, w.stopPipe, w.since = cmd, stopPipe, time.Now()
	w.watched = watchWatchdog(cmd, w.replace)
	return nil
}

// pid returns the process ID of the watchdog.
func (w *watchdog) pid() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cmd.Process.Pid
}

const (
	// watchdogLife is how long a watchdog must have run for another one to be started
	// at once. A script that kills each would otherwise keep a processor busy.
	watchdogLife  = time.Second
	watchdogDelay = 100 * time.Millisecond
)

// replace starts another watchdog, unless this one is to exit. It is called when it has
// exited and before it is reaped: until then the process group has a member, which the
// new one needs to join it.
func (w *watchdog) replace() {
	w.mu.Lock()
	pid, age := w.cmd.Process.Pid, time.Since(w.since)
	w.mu.Unlock()
	var wait time.Duration
	if age < watchdogLife {
		wait = watchdogDelay
	}
	for ; ; wait = min(max(2*wait, watchdogDelay), 10*time.Second) {
		select {
		case <-w.stopping:
			return
		case <-time.After(wait):
		}
		w.mu.Lock()
		if w.stopped {
			w.mu.Unlock()
			return
		}
		err := w.startLocked()
		w.mu.Unlock()
		if err == nil {
			w.notice("the watchdog of php-cgi was killed and has been replaced", fmt.Errorf("process %d exited unexpectedly", pid))
			return
		}
		w.notice("the watchdog of php-cgi was killed and cannot be replaced; retrying", err)
	}
}

// markStopped prevents that the watchdog is replaced.
func (w *watchdog) markStopped() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.stopped = true
		close(w.stopping)
	}
}

// stop ends the watchdog and waits for its exit. Call it last.
func (w *watchdog) stop() {
	w.markStopped()
	_, err := w.stopPipe.WriteString("stop\n")
	if err != nil {
		_ = w.cmd.Process.Kill() // before it reads EOF
	}
	stuck := time.AfterFunc(time.Second, func() { _ = w.cmd.Process.Kill() })
	if w.watched != nil {
		<-w.watched.done
	} else {
		_ = w.cmd.Wait()
	}
	stuck.Stop()
	_ = w.stopPipe.Close()
}

// killAll kills every process of the group, including the watchdog.
func (w *watchdog) killAll() {
	w.markStopped()
	_ = syscall.Kill(-w.pgid, syscall.SIGKILL)
}

// adopt does nothing: processes join the group when they start.
func (w *watchdog) adopt(*os.Process) error { return nil }
