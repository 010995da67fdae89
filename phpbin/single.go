package phpbin

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// Single starts one php-cgi for each worker: on every platform, at 10 MB and 35
// ms each, and on Unix with an OPcache of its own each.
type Single struct {
	*group
	*slotTable
}

// singleProcess is the php-cgi of one worker.
type singleProcess struct {
	*phpProcess
	endpoint *endpoint
}

// StartSingle prepares to launch workers; php-cgi itself is started by Launch.
func StartSingle(_ context.Context, o Options) (*Single, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.INI = append(slices.Clip(o.INI), ownOPcacheINI()...)
	g, err := newGroup(o)
	if err != nil {
		return nil, err
	}
	if g.watchdog, err = newWatchdog(0); err != nil {
		g.thread.stop()
		return nil, err
	}
	return &Single{group: g, slotTable: newSlotTable(0)}, nil
}

// Launch starts a php-cgi and returns when it has answered. ctx bounds the
// start only.
func (s *Single) Launch(ctx context.Context) (*Process, error) {
	if err := s.beginLaunch(); err != nil {
		return nil, err
	}
	p, err := s.launch(ctx)
	s.endLaunch(p)
	return p, err
}

func (s *Single) launch(ctx context.Context) (*Process, error) {
	e, err := newEndpoint(s.opts.RuntimeDir, 16)
	if err != nil {
		return nil, err
	}
	// It serves itself and does not wait for its scripts, so it is killed when
	// we are; a TERM would let a busy loop run on.
	phpProcess, err := s.start(e, 0, s.watchdog.pgid, syscall.SIGKILL)
	if err != nil {
		e.close()
		return nil, err
	}
	one := &singleProcess{phpProcess: phpProcess, endpoint: e}
	s.watch(phpProcess, func() {
		e.close()
		phpProcess.stderr.close()
	})
	if err := s.watchdog.adopt(phpProcess.cmd.Process); err != nil {
		_ = one.kill()
		<-one.done
		return nil, err
	}
	begun := time.Now()
	p, err := s.dial(ctx, one)
	if err != nil {
		err = one.startError(ctx, begun, err)
		_ = one.kill()
		<-one.done
		return nil, s.describeFailure(ctx, err)
	}
	return p, nil
}

// reach connects to a php-cgi that has been started.
func (s *Single) dial(ctx context.Context, one *singleProcess) (*Process, error) {
	ctx, cancel := s.launchContext(ctx, one.done)
	defer cancel()
	var retry backoff
	for {
		conn, who, err := connect(ctx, one.endpoint, s.opts.Handshake)
		if err != nil {
			return nil, err
		}
		// Somebody else: a script has forked (pcntl_fork), and the copy went on
		// to accept as if it were php-cgi.
		stranger := who.pid != 0 && who.pid != one.pid
		if stranger {
			who.kill()
		}
		who.close()
		if !stranger {
			return &Process{proc: one.child, conn: conn, owner: s, single: one}, nil
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
	q, err := s.dial(ctx, p.single)
	if errors.Is(err, errExited) {
		q, err = s.launch(ctx) // its successor, as a master would fork one
	}
	s.endDrain(p, q)
	return q, err
}

func (s *Single) table() *slotTable { return s.slotTable }
func (s *Single) threadSafe() bool  { return s.opts.ZTS }

// Slots returns 0: there is no bound.
func (s *Single) Slots() int { return 0 }

// Done is closed by Close and by nothing else.
func (s *Single) Done() <-chan struct{} { return s.closing }

// Close ends every php-cgi and returns when none is left. They should be idle:
// a TERM interrupts a script that sleeps or waits for a lock. When ctx ends,
// those that still run a script are killed. It may be called twice.
func (s *Single) Close(ctx context.Context) error {
	return s.close(ctx, func() error {
		for _, p := range s.closeSlots() {
			if err := p.signal(syscall.SIGTERM); err != nil {
				_ = p.Kill() // Windows has no way to ask
			}
			_ = p.conn.Close()
		}
		return s.shutdown()
	})
}
