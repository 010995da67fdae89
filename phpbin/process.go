package phpbin

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/phpstack"
	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

const (
	// stopGrace is the time for an idle php-cgi to exit after TERM; it needs about
	// 1 ms.
	stopGrace = time.Second

	// killGrace is the time for a process to disappear after KILL.
	killGrace = 5 * time.Second
)

// Process is one worker: a slot, its process, and its one connection.
type Process struct {
	proc   *child
	conn   net.Conn
	owner  owner
	single *singleProcess // nil in Shared

	// Both guarded by the mutex of the owner's slotTable.
	draining bool // the slot waits for a successor
	replaced bool // the slot, and perhaps the process, belongs to a successor
}

// owner is the launcher of a Process.
type owner interface {
	drain(ctx context.Context, p *Process) (*Process, error)
	table() *slotTable
	threadSafe() bool
	stacks() *phpstack.Cache
	hasLeft(pid int) bool
}

// Conn returns the connection, which has carried the handshake and nothing else.
// The caller closes it, unless it calls Stop or Drain.
func (p *Process) Conn() net.Conn { return p.conn }

// PID returns the pid of the process.
func (p *Process) PID() int { return p.proc.pid }

// Done is closed when the process has exited. EOF on the connection proves
// nothing: before PHP 8.4 any program that a script starts inherits it.
func (p *Process) Done() <-chan struct{} { return p.proc.done }

// ExitStatus returns the exit status of the process as text: "signal: segmentation
// fault", "exit status 255". It is empty while the process runs, and where the
// system does not provide it: for the child of a master only Linux 6.15 does.
func (p *Process) ExitStatus() string {
	if p.proc.alive() {
		return ""
	}
	return p.proc.exitStatus
}

// signal sends sig, unless the process belongs to a successor of p.
func (p *Process) signal(sig syscall.Signal) error {
	t := p.owner.table()
	t.mu.Lock() // held while sending, so that Drain cannot hand over the process meanwhile
	defer t.mu.Unlock()
	if p.replaced {
		return os.ErrProcessDone
	}
	return p.proc.send(sig)
}

// Stop terminates an idle worker and frees its slot: it sends TERM, closes the
// connection, and sends KILL after a second or when ctx ends. It returns nil when
// the process has exited, and may be called again.
func (p *Process) Stop(ctx context.Context) error {
	termErr := p.signal(syscall.SIGTERM)
	_ = p.conn.Close()
	if p.stopped() {
		return nil
	}
	if termErr == nil {
		timer := time.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-p.proc.done:
			return nil
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := p.Kill(); err != nil {
		return err
	}
	timer := time.NewTimer(killGrace)
	defer timer.Stop()
	select {
	case <-p.proc.done:
		return nil
	case <-timer.C:
		return errors.New("php-cgi was killed but did not exit")
	}
}

// stopped reports whether there is no process to stop.
func (p *Process) stopped() bool {
	t := p.owner.table()
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.replaced || !p.proc.alive()
}

// Kill kills the process and the copies of itself that its script has forked. The
// slot is free when the process has exited; a Drain that waits for it then gets its
// successor. The connection stays open, with what php-cgi wrote last.
func (p *Process) Kill() error {
	killCopies(p.proc.pid, func() bool { return p.signal(0) == nil })
	err := p.signal(syscall.SIGKILL)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// SoftTimeout makes PHP end the running script as if max_execution_time had
// expired: it logs file and line, runs shutdown functions, responds with 500 if it
// still can, and the worker lives on (SIGPROF, Zend/zend_execute_API.c). A script
// within a C function notices when that returns; a second SoftTimeout then kills
// the process. Call it only for a worker that runs a request: one that has never
// run any would die. On systems other than Linux, and with a thread-safe PHP, it
// returns errors.ErrUnsupported.
func (p *Process) SoftTimeout() error {
	if p.owner.threadSafe() || softTimeout == 0 {
		return errors.ErrUnsupported
	}
	return p.signal(softTimeout)
}

// Drain closes the connection and waits until the worker is free again. Use it when
// the client has disconnected, or the connection is unusable, while the script may
// still run; PHP notices a closed connection at its next write. Drain returns a
// Process that takes over this one's slot, with the same process, or if that has
// exited (as after Kill) with its successor. After that, Kill and SoftTimeout of
// this Process have no effect, and nothing else may be called. On error this
// Process keeps the slot: kill it, or drain it again.
func (p *Process) Drain(ctx context.Context) (*Process, error) {
	_ = p.conn.Close()
	return p.owner.drain(ctx, p)
}

// LeftGroup reports whether the process has left the process group of its launcher,
// because its script has called posix_setsid or posix_setpgid. The watchdog would not
// kill it if this process died. It costs one system call, and none on Windows, where
// nothing leaves the job object.
func (p *Process) LeftGroup() bool { return p.owner.hasLeft(p.proc.pid) }

// Memory returns the private memory of the process in bytes: what its exit would
// free. On systems other than Linux it returns
// errors.ErrUnsupported.
func (p *Process) Memory() (int64, error) { return procfs.PrivateMemory(p.proc.pid) }

// CPU returns the processor time that the process has used; 0 if unknown.
func (p *Process) CPU() time.Duration { return procfs.CPUTime(p.proc.pid) }

// Frame is one call on the stack of a PHP script. Its fields are:
//
//   - Function: the name, with the class as in "K::m"; "{main}" for code outside of
//     functions.
//   - File and Line: the current position in an innermost frame, else that of the
//     call. They are empty for functions that are not written in PHP. Line is 0 if
//     unknown.
//
// String returns "K::m /srv/www/k.php:12", or "sleep".
type Frame = phpstack.Frame

// Wait describes what a process is doing as seen by the kernel. Its fields are:
//
//   - Call: the system call in which it is blocked, "running" if it is not blocked,
//     "sleeping" if the system call is unknown.
//   - Target: the object it waits for, if known: the remote address of a socket, the path
//     of a file, a process.
//
// String returns "poll 10.0.0.5:3306", "flock /srv/www/lock" or "running".
type Wait = phpstack.Wait

// ErrUnstable is returned by [Process.Backtrace] when the stack changed on every
// read attempt; the process is not stopped while it is read.
var ErrUnstable = phpstack.ErrUnstable

// Backtrace returns the stack of the running script: the innermost call first, at
// most depth frames, none if no PHP code runs. It reads the memory of the process
// and neither stops nor slows it. The script runs on meanwhile, so calls that come
// and go are left out, and the line of the innermost frame is where the script last
// left PHP's interpreter. Functions that PHP 8.4 and later call without a frame
// (max, in_array, preg_match and others) are missing too.
//
// The error is ErrUnstable if the stack changed on every attempt, and wraps
// errors.ErrUnsupported, with the reason, if a backtrace is not possible: it needs
// Linux, a PHP that is not thread-safe, no debug build and of a known release (7.4
// to 8.5), and the right to read the memory of the process: the same user and
// groups or CAP_SETUID, with kernel.yama.ptrace_scope 0 or 1, or CAP_SYS_PTRACE.
func (p *Process) Backtrace(depth int) ([]Frame, error) {
	if p.owner.threadSafe() {
		return nil, phpstack.ErrThreadSafe
	}
	frames, err := p.owner.stacks().Backtrace(p.proc.pid, depth)
	// Checked afterwards: only now is it certain that the pid was not reused.
	if gone := p.signal(0); errors.Is(gone, os.ErrProcessDone) {
		return nil, gone
	}
	return frames, err
}

// BlockedOn returns what the process waits for. Reading the system call needs
// the same rights as Backtrace; without them it only reports whether the process
// runs. On systems other than Linux it returns errors.ErrUnsupported.
func (p *Process) BlockedOn() (Wait, error) {
	w, err := phpstack.BlockedOn(p.proc.pid, p.conn)
	// Checked afterwards, as in Backtrace.
	if gone := p.signal(0); errors.Is(gone, os.ErrProcessDone) {
		return Wait{}, gone
	}
	return w, err
}
