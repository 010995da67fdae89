package phpbin

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/phpstack"
)

// group is what all php-cgi of a launcher have in common: the thread that starts
// them, the process group they are in, and the watchdog that ends them if we
// cannot.
type group struct {
	opts     Options
	thread   *spawnThread
	watchdog *watchdog

	stackCache phpstack.Cache // see Process.Backtrace

	pidsMu sync.Mutex
	pids   map[int]struct{} // what we started, and os/exec reaps

	closeOnce sync.Once
	force     chan struct{} // closed when a Close has no more time
	forceOnce sync.Once
	closeDone chan struct{} // closed at the end of end
	closeErr  error         // readable when ended is closed
}

func newGroup(o Options) (*group, error) {
	reapOrphans()
	o.Stderr = serialize(o.Stderr)
	thread, err := startSpawnThread(o)
	if err != nil {
		return nil, err
	}
	return &group{
		opts:      o,
		thread:    thread,
		pids:      map[int]struct{}{},
		force:     make(chan struct{}),
		closeDone: make(chan struct{}),
	}, nil
}

// phpProcess is a php-cgi that we started: a master, or a single one.
type phpProcess struct {
	*child
	cmd    *exec.Cmd
	stderr *stderr
}

// start starts php-cgi to accept on e, with the given number of children, in
// the process group pgid or, with 0, in a new one. It is not watched yet, and
// so keeps its number even if it ends at once.
func (g *group) start(e *endpoint, children, pgid int, parentDeathSignal syscall.Signal) (*phpProcess, error) {
	argv, err := g.opts.prlimitCommand()
	if err != nil {
		return nil, err
	}
	argv = append(append(argv, g.opts.Binary), g.opts.Args()...)
	said, err := newStderr(g.opts.Stderr)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = g.opts.serveEnviron(children)
	cmd.Stderr = said.write
	cmd.SysProcAttr = procAttr(g.opts, pgid, parentDeathSignal)
	e.prepare(cmd)
	closeTerminal := withoutTerminal(cmd)
	s := &phpProcess{cmd: cmd, stderr: said}
	err = g.thread.do(cmd.Start)
	said.started()
	e.started()
	closeTerminal()
	if err != nil {
		said.close()
		if c := g.opts.Credential; c != nil {
			err = fmt.Errorf("as user %d and group %d: %w", c.UID, c.GID, err)
		}
		return nil, &StartError{Err: fmt.Errorf("starting php-cgi: %w", err), ExitCode: -1}
	}
	g.pidsMu.Lock()
	g.pids[cmd.Process.Pid] = struct{}{}
	g.pidsMu.Unlock()
	if err := errors.Join(g.opts.setRlimits(cmd.Process.Pid), g.opts.setOOMScore(cmd.Process.Pid)); err != nil {
		g.discard(s)
		return nil, err
	}
	return s, nil
}

// discard ends a phpProcess that is not watched yet.
func (g *group) discard(s *phpProcess) {
	g.watch(s, func() {})
	_ = s.kill()
	<-s.done
	s.stderr.close()
}

// watch begins to watch the phpProcess; ended runs when it has ended.
func (g *group) watch(s *phpProcess, ended func()) {
	s.child = watch(s.cmd, func() {
		g.pidsMu.Lock()
		delete(g.pids, s.cmd.Process.Pid)
		g.pidsMu.Unlock()
		ended()
	})
}

func (g *group) stacks() *phpstack.Cache { return &g.stackCache }

// ours reports whether os/exec reaps the process.
func (g *group) startedHere(pid int) bool {
	g.pidsMu.Lock()
	defer g.pidsMu.Unlock()
	_, ok := g.pids[pid]
	return ok
}

// exit says how a phpProcess ended. It waits a moment for its last words.
func (s *phpProcess) exitError() *StartError {
	state := s.cmd.ProcessState
	return &StartError{
		Err:      fmt.Errorf("php-cgi ended (%v)", state),
		Stderr:   s.stderr.last(50 * time.Millisecond),
		ExitCode: state.ExitCode(),
	}
}

// failure explains why a launch came to nothing. err is what connecting ended
// with: if the phpProcess ended, that is the reason, and if time ran out, what it
// said may be.
func (s *phpProcess) startError(ctx context.Context, begun time.Time, err error) error {
	if !s.alive() {
		return s.exitError()
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("php-cgi did not answer within %v: %w", time.Since(begun).Round(time.Millisecond), err)
	}
	return &StartError{Err: err, Stderr: s.stderr.last(0), ExitCode: -1}
}

// explain adds to the end of a php-cgi that said nothing what it would have said
// if it had been told to say it here: with log_errors off, as without any
// php.ini, or with an error_log of its own it ends without a word, for instance
// when opcache.preload fails. Asking for the version runs that too.
func (g *group) describeFailure(ctx context.Context, err error) error {
	e, ok := errors.AsType[*StartError](err)
	if !ok || e.ExitCode <= 0 || len(e.Stderr) > 0 {
		return err
	}
	o := g.opts
	o.INI = append(slices.Clip(o.INI), logToStderrINI()...)
	_, said, _ := o.run(ctx, "-v") // that it fails is what is asked about
	e.Stderr = nonEmpty(said)
	return err
}

// close ends the group by end, once, whoever asks. When ctx ends, what is left
// is killed.
func (g *group) close(ctx context.Context, end func() error) error {
	g.closeOnce.Do(func() {
		go func() {
			defer close(g.closeDone)
			g.closeErr = end()
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
