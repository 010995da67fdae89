package phpbin

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// Single starts one php-cgi for each worker. It works on every platform; each
// process takes 10 MB and 35 ms to start, and on Unix has its own OPcache.
type Single struct {
	*group
	*slotTable
}

// singleProcess is the php-cgi of one worker.
type singleProcess struct {
	*phpProcess
	endpoint *endpoint
}

// StartSingle returns a launcher. php-cgi itself is started by Launch.
func StartSingle(_ context.Context, o Options) (*Single, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.INI = append(slices.Clip(o.INI), ownOPcacheINI()...)
	g, err := newGroup(o)
	if err != nil {
		return nil, err
	}
	if g.watchdog, err = newWatchdog(0, g.prelude, g.opts.Notice); err != nil {
		g.stopThread()
		return nil, err
	}
	return &Single{group: g, slotTable: newSlotTable(0)}, nil
}

// Launch starts a php-cgi and returns when it has responded. ctx limits the start
// only.
func (s *Single) Launch(ctx context.Context) (*Process, error) {
	if err := s.beginLaunch(); err != nil {
		return nil, err
	}
	p, err := s.launch(ctx)
	s.endLaunch(p)
	return p, err
}

func (s *Single) launch(ctx context.Context) (*Process, error) {
	e, err := newEndpoint(s.opts, s.tag)
	if err != nil {
		return nil, err
	}
	// The parent death signal is KILL: with TERM a script in a busy loop would run
	// on.
	php, err := s.start(e, 0, s.watchdog.pgid, syscall.SIGKILL)
	if err != nil {
		e.close()
		return nil, err
	}
	php.output.pid.Store(int64(php.cmd.Process.Pid))
	s.watch(php, e.close)
	if err := s.watchdog.adopt(php.cmd.Process); err != nil {
		_ = php.kill()
		<-php.done
		return nil, err
	}
	start := time.Now()
	p, err := s.dial(ctx, &singleProcess{phpProcess: php, endpoint: e})
	if err != nil {
		err = php.startError(ctx, start, err)
		killDescendants(php.pid, php.alive) // if php-cgi is a shell script
		_ = php.kill()
		<-php.done
		return nil, s.describeFailure(ctx, err)
	}
	return p, nil
}

// dial connects to a php-cgi that has been started.
func (s *Single) dial(ctx context.Context, php *singleProcess) (*Process, error) {
	ctx, cancel := s.launchContext(ctx, php.done)
	defer cancel()
	var retry backoff
	for {
		conn, peer, err := connect(ctx, php.endpoint, s.opts.Handshake)
		if err != nil {
			return nil, err
		}
		// If a script has forked (pcntl_fork), its copy accepts connections as if it
		// were php-cgi.
		forked := peer.pid != 0 && peer.pid != php.pid
		if forked {
			peer.kill()
		}
		peer.close()
		if !forked {
			return &Process{proc: php.child, conn: conn, owner: s, single: php}, nil
		}
		_ = conn.Close()
		if !retry.wait(ctx) {
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Single) drain(ctx context.Context, p *Process) (*Process, error) {
	if err := s.beginDrain(p); err != nil {
		return nil, err
	}
	successor, err := s.dial(ctx, p.single)
	if errors.Is(err, errExited) {
		successor, err = s.launch(ctx) // as a master would fork a successor
	}
	s.endDrain(p, successor)
	return successor, err
}

func (s *Single) table() *slotTable { return s.slotTable }
func (s *Single) threadSafe() bool  { return s.opts.ZTS }

// Slots returns 0: the number of workers is not limited.
func (s *Single) Slots() int { return 0 }

// Done is closed by Close.
func (s *Single) Done() <-chan struct{} { return s.closing }

// WorkersStay returns false: only Close ends a Single.
func (s *Single) WorkersStay() bool { return false }

// Close stops every php-cgi and returns when none is left. The workers should be
// idle: TERM interrupts a script that sleeps or waits for a lock. When ctx ends,
// those that remain are killed. Other programs that scripts have started stay: see
// KillJobs. Close may be called again.
func (s *Single) Close(ctx context.Context) error {
	return s.close(ctx, func() error {
		for _, p := range s.closeSlots() {
			if err := p.signal(syscall.SIGTERM); err != nil {
				_ = p.Kill() // Windows has no TERM
			}
			_ = p.conn.Close()
		}
		return s.shutdown(s.startedHere)
	})
}
