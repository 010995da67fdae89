package phpbin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/phpstack"
)

// group holds what all php-cgi of a launcher share: the thread that starts them,
// their process group, and the watchdog that kills them if this process dies.
type group struct {
	opts     Options
	thread   *spawnThread
	watchdog *watchdog

	// tag is in the names of its sockets, and in those of no other launcher. It is empty
	// where nothing looks for processes by them.
	tag string

	prelude string // the directory of Options.Prelude; may be ""

	stackCache phpstack.Cache // for Process.Backtrace

	pidsMu  sync.Mutex
	pids    map[int]struct{} // started here and not yet reaped by os/exec
	outputs []*outputs       // with a writer

	closeOnce sync.Once
	closeDone chan struct{} // closed when closeErr is set
	closeErr  error
	forceOnce sync.Once
	force     chan struct{} // closed when the context of a Close ends

	releaseOnce sync.Once
	released    chan struct{} // closed when neither php-cgi nor a program of a script is left
}

func newGroup(o Options) (*group, error) {
	reapOrphans()
	o.Output = serialize(o.Output)
	if o.Notice == nil {
		o.Notice = func(string, error) {}
	}
	thread, err := startSpawnThread(o)
	if err != nil {
		return nil, err
	}
	g := &group{
		thread:    thread,
		tag:       newGroupTag(),
		pids:      map[int]struct{}{},
		closeDone: make(chan struct{}),
		force:     make(chan struct{}),
		released:  make(chan struct{}),
	}
	if g.prelude, err = o.writePrelude(); err != nil {
		thread.stop()
		return nil, err
	}
	g.opts = o
	return g, nil
}

// stopThread gives up what is needed to start php-cgi.
func (g *group) stopThread() {
	g.thread.stop()
	g.removePrelude()
}

// removePrelude removes the file of the prelude, when no php-cgi reads it any more.
func (g *group) removePrelude() {
	if g.prelude != "" {
		_ = os.RemoveAll(g.prelude)
		g.prelude = ""
	}
}

// phpProcess is a php-cgi that was started here: a master, or the process of a
// single worker.
type phpProcess struct {
	*child
	cmd    *exec.Cmd
	output *outputs
}

// start starts php-cgi to accept on e and to fork the given number of children.
// It joins the process group pgid, or with 0 leads a new one. The process is not
// watched yet, and so keeps its pid even if it exits at once.
func (g *group) start(e *endpoint, children, pgid int, parentDeathSignal syscall.Signal) (*phpProcess, error) {
	argv, err := g.opts.prlimitCommand()
	if err != nil {
		return nil, err
	}
	argv = append(append(argv, g.opts.Binary), g.opts.Args()...)
	output, err := newOutputs(g.opts)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = g.opts.serveEnviron(children)
	cmd.Stdout, cmd.Stderr = output.stdout.write, output.stderr.write
	cmd.SysProcAttr = procAttr(g.opts, pgid, parentDeathSignal)
	e.prepare(cmd)
	closeTerminal := withoutTerminal(cmd)
	p := &phpProcess{cmd: cmd, output: output}
	err = g.thread.do(cmd.Start)
	output.started()
	closeTerminal()
	if err != nil {
		output.close()
		if c := g.opts.Credential; c != nil {
			err = fmt.Errorf("as user %d and group %d: %w", c.UID, c.GID, err)
		}
		return nil, &StartError{Err: fmt.Errorf("starting php-cgi: %w", err), ExitCode: -1}
	}
	g.pidsMu.Lock()
	g.pids[cmd.Process.Pid] = struct{}{}
	g.outputs = append(slices.DeleteFunc(g.outputs, (*outputs).ended), output)
	g.pidsMu.Unlock()
	if err := errors.Join(g.opts.setRlimits(cmd.Process.Pid), g.opts.setOOMScore(cmd.Process.Pid)); err != nil {
		g.discard(p)
		return nil, err
	}
	return p, nil
}

// closeOutputs stops reading. Programs that scripts have moved to another process group
// get EPIPE.
func (g *group) closeOutputs() {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	for _, o := range g.outputs {
		o.close()
	}
	g.outputs = nil
}

// discard kills a process that is not watched yet.
func (g *group) discard(p *phpProcess) {
	g.watch(p, func() {})
	_ = p.kill()
	<-p.done
}

// watch begins to watch p. onExit is called when it has exited.
func (g *group) watch(p *phpProcess, onExit func()) {
	p.child = watch(p.cmd, func() {
		g.pidsMu.Lock()
		delete(g.pids, p.cmd.Process.Pid)
		g.pidsMu.Unlock()
		onExit()
	})
}

func (g *group) stacks() *phpstack.Cache { return &g.stackCache }

// shared returns g, for a launcher that is made of another one.
func (g *group) shared() *group { return g }

// startedHere reports whether the process was started here and os/exec will reap
// it.
func (g *group) startedHere(pid int) bool {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	_, ok := g.pids[pid]
	return ok
}

// exitError describes the exit of p. It waits a moment for the rest of its stderr.
func (p *phpProcess) exitError() *StartError {
	state := p.cmd.ProcessState
	return &StartError{
		Err:      fmt.Errorf("php-cgi exited (%v)", state),
		Stderr:   p.output.stderr.last(50 * time.Millisecond),
		ExitCode: state.ExitCode(),
	}
}

// startError describes why a launch that began at start failed. err is the error
// from connecting. If the process has exited, its exit is the cause; if time ran
// out, its stderr may explain it.
func (p *phpProcess) startError(ctx context.Context, start time.Time, err error) error {
	if !p.alive() {
		return p.exitError()
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("php-cgi did not respond within %v: %w", time.Since(start).Round(time.Millisecond), err)
	}
	return &StartError{Err: err, Stderr: p.output.stderr.last(0), ExitCode: -1}
}

// describeFailure adds the missing messages to the error of a php-cgi that exited
// without one. With log_errors off, as without any php.ini, or with an error_log,
// its messages do not go to stderr, for instance when opcache.preload fails. So it
// is run once more, with messages to stderr, for its version, which preloads too.
func (g *group) describeFailure(ctx context.Context, err error) error {
	e, ok := errors.AsType[*StartError](err)
	if !ok || e.ExitCode <= 0 || len(e.Stderr) > 0 {
		return err
	}
	o := g.opts
	o.INI = append(slices.Clip(o.INI), logToStderrINI()...)
	_, stderr, _ := o.run(ctx, "-v") // it is expected to fail
	e.Stderr = nonEmptyLines(stderr)
	return err
}

// close calls shutdown once and returns its result to every caller. When ctx ends,
// the processes that remain are killed.
func (g *group) close(ctx context.Context, shutdown func() error) error {
	g.closeOnce.Do(func() {
		go func() {
			defer close(g.closeDone)
			g.closeErr = shutdown()
		}()
	})
	select {
	case <-g.closeDone:
		return g.closeErr
	case <-ctx.Done():
	}
	g.forceOnce.Do(func() { close(g.force) })
	<-g.closeDone
	return g.closeErr
}
