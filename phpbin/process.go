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

// How long an idle php-cgi may take to leave once asked (it needs about 1 ms),
// and how long the kernel may take to end one that was killed.
const (
	stopGrace = time.Second
	killGrace = 5 * time.Second
)

// Process is one worker: a slot, its process, and its one connection.
type Process struct {
	proc   *child
	conn   net.Conn
	owner  owner
	single *singleProcess // of a Single

	// Both guarded by the owner's roster.
	draining bool // its slot waits for whoever is free next
	replaced bool // its slot, and perhaps its process, belongs to another Process
}

// owner is the launcher that a Process came from.
type owner interface {
	drain(ctx context.Context, p *Process) (*Process, error)
	table() *slotTable
	threadSafe() bool
	stacks() *phpstack.Cache
}

// Conn returns the connection. It has answered the handshake and carried
// nothing else. Whoever has the Process closes it, unless by Stop or Drain.
func (p *Process) Conn() net.Conn { return p.conn }

// PID returns the number of the process.
func (p *Process) PID() int { return p.proc.pid }

// Done is closed when the process has ended. The end of the connection proves
// nothing: before PHP 8.4 any program that a script starts inherits it.
func (p *Process) Done() <-chan struct{} { return p.proc.done }

// ExitStatus says how the process has ended, as "signal: segmentation fault" or "exit
// status 255". It is empty while it runs, and where the system does not tell:
// of the child of a master only Linux 6.15 does.
func (p *Process) ExitStatus() string {
	if p.proc.alive() {
		return ""
	}
	return p.proc.exitStatus
}

// signal sends sig, unless the process is no longer ours to signal.
func (p *Process) signal(sig syscall.Signal) error {
	t := p.owner.table()
	t.mu.Lock() // held while sending: Drain must not pass the process on meanwhile
	defer t.mu.Unlock()
	if p.replaced {
		return os.ErrProcessDone
	}
	return p.proc.send(sig)
}

// Stop ends a worker that runs no request, closes its connection and frees its
// slot. It asks first: php-cgi leaves when its connection is closed after a
// TERM. After a second, or when ctx ends, it kills. It returns nil once the
// process has ended, and may be called twice.
func (p *Process) Stop(ctx context.Context) error {
	asked := p.signal(syscall.SIGTERM)
	_ = p.conn.Close()
	if p.gone() {
		return nil
	}
	if asked == nil {
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
		return errors.New("php-cgi was killed but does not end")
	}
}

// gone reports whether there is nothing left to stop.
func (p *Process) gone() bool {
	t := p.owner.table()
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.replaced || !p.proc.alive()
}

// Kill ends the process at once, whatever it does; its slot is free when it has
// ended. During Drain that makes way for a successor. The connection stays, and
// with it what php-cgi wrote last.
func (p *Process) Kill() error {
	killCopies(p.proc.pid, func() bool { return p.signal(0) == nil })
	err := p.signal(syscall.SIGKILL)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// SoftTimeout makes PHP end the running script as if max_execution_time were
// over: it logs file and line, runs shutdown functions, answers 500 if it still
// can, and the worker lives on (SIGPROF, Zend/zend_execute_API.c). A script
// stuck in C code notices when it returns to PHP; a second SoftTimeout ends the
// process there. Only for a worker that runs a request: one that never ran any
// dies of it. Elsewhere than on Linux, and with a thread-safe PHP, it returns
// errors.ErrUnsupported.
func (p *Process) SoftTimeout() error {
	if p.owner.threadSafe() || softTimeout == 0 {
		return errors.ErrUnsupported
	}
	return p.signal(softTimeout)
}

// Drain gives up the connection and waits until the worker is free again: the
// client left, or the connection is of no use any more, but the script may go
// on. PHP learns of it when it next writes. The Process returned stands in this
// one's slot; it has the same process, or when that has ended (by Kill, say)
// its successor. This Process is then at its end, but for Kill and SoftTimeout,
// which do nothing from then on. On error it keeps the slot: kill it, or drain
// it again.
func (p *Process) Drain(ctx context.Context) (*Process, error) {
	_ = p.conn.Close()
	return p.owner.drain(ctx, p)
}

// Memory returns how many bytes the process has for itself, which is what its
// end would give back. errors.ErrUnsupported elsewhere than on Linux.
func (p *Process) Memory() (int64, error) {
	return procfs.PrivateMemory(p.proc.pid)
}

// CPU returns the processor time that the process has used; 0 where unknown.
func (p *Process) CPU() time.Duration { return procfs.CPUTime(p.proc.pid) }

// Frame is one call on the stack of a PHP script.
type Frame = phpstack.Frame

// Wait is what a process does as the kernel sees it.
type Wait = phpstack.Wait

// ErrUnstable is returned by [Process.Backtrace] when the stack changed.
var ErrUnstable = phpstack.ErrUnstable

// Backtrace returns the stack.
func (p *Process) Backtrace(depth int) ([]Frame, error) {
	if p.owner.threadSafe() {
		return nil, phpstack.ErrThreadSafe
	}
	frames, err := p.owner.stacks().Backtrace(p.proc.pid, depth)
	// Only now is it sure that the number was still that of our process.
	if gone := p.signal(0); errors.Is(gone, os.ErrProcessDone) {
		return nil, gone
	}
	return frames, err
}

// BlockedOn returns what the process waits for right now.
func (p *Process) BlockedOn() (Wait, error) {
	w, err := phpstack.BlockedOn(p.proc.pid, p.conn)
	// Only now is it sure that the number was still that of our process.
	if gone := p.signal(0); errors.Is(gone, os.ErrProcessDone) {
		return Wait{}, gone
	}
	return w, err
}
