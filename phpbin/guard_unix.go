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

// guardianScript kills its own process group, that is all php-cgi of a
// launcher and what their scripts started, when its stdin ends without a word:
// this process has then gone, however it went. "kill 0" cannot hit a group that
// merely got the same number. Signals are ignored because the TERM of php-cgi's
// master goes to the whole group.
const guardianScript = `trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM TSTP TTIN TTOU
echo up
IFS= read -r word
[ "$word" = bye ] || kill -KILL 0`

// watchdog is the guardian: a shell in the process group of php-cgi. It runs as we
// do, so that the scripts of another user cannot kill it, and as nothing reaps
// it but dismiss, the number of the group stays taken until then.
type watchdog struct {
	cmd  *exec.Cmd
	bye  *os.File
	pgid int
}

// newGuard starts a guardian in the process group pgid, or with 0 in a new one.
func newGuard(pgid int) (_ *watchdog, err error) {
	stdin, bye, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	up, stdout, err := os.Pipe()
	if err != nil {
		_ = bye.Close()
		return nil, err
	}
	defer up.Close()
	cmd := exec.Command("/bin/sh", "-c", guardianScript, "php-pool-guardian")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout = stdin, stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
	err = cmd.Start()
	_ = stdout.Close()
	if err != nil {
		_ = bye.Close()
		return nil, fmt.Errorf("starting the guardian of php-cgi: %w", err)
	}
	g := &watchdog{cmd: cmd, bye: bye, pgid: pgid}
	if pgid == 0 {
		g.pgid = cmd.Process.Pid
	}
	_ = up.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(up, make([]byte, len("up\n"))); err != nil {
		g.dismiss()
		return nil, fmt.Errorf("the guardian of php-cgi did not start: %w", err)
	}
	return g, nil
}

// dismiss lets the guardian go, and waits until it has. Call it last.
func (g *watchdog) dismiss() {
	_, err := g.bye.WriteString("bye\n")
	if err != nil {
		_ = g.cmd.Process.Kill() // before it sees the end of its stdin
	}
	stuck := time.AfterFunc(time.Second, func() { _ = g.cmd.Process.Kill() })
	_ = g.cmd.Wait()
	stuck.Stop()
	_ = g.bye.Close()
}

// killAll kills every process of the group, the guardian too.
func (g *watchdog) killAll() { _ = syscall.Kill(-g.pgid, syscall.SIGKILL) }

// adopt is for systems where a process does not join the group by itself.
func (g *watchdog) adopt(*os.Process) error { return nil }
