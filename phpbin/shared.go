package phpbin

import (
	"context"
	"fmt"
	"maps"
	"syscall"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// Shared is one php-cgi master with a fixed number of children, which it forks
// anew when they end. They have one OPcache, and what start-up made, in common:
// an idle child costs 0.1 to 0.4 MB, a new one is there in milliseconds.
type Shared struct {
	*group
	*slotTable
	dispatcher
	master   *phpProcess
	endpoint *endpoint
}

// StartShared starts a master with o.Slots children, and returns when the first
// of them has answered. ctx bounds the start only. Elsewhere than on Linux it
// returns errors.ErrUnsupported: only there can we tell which child has
// answered, and end all of them for sure.
func StartShared(ctx context.Context, o Options) (*Shared, error) {
	if err := sharedSupported(); err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Slots < 1 {
		return nil, fmt.Errorf("a php-cgi master with %d children is none", o.Slots)
	}
	g, err := newGroup(o)
	if err != nil {
		return nil, err
	}
	s := &Shared{group: g, slotTable: newSlotTable(o.Slots)}
	s.children = map[int]*child{}
	if err := s.startMaster(); err != nil {
		g.thread.stop()
		return nil, err
	}
	if err := s.awaitFirstChild(ctx); err != nil {
		now, cancel := context.WithCancel(ctx)
		cancel()
		_ = s.Close(now) // what it could not end is not what was asked
		return nil, g.describeFailure(ctx, err)
	}
	return s, nil
}

// startMaster starts master and watchdog, or leaves nothing behind.
func (s *Shared) startMaster() (err error) {
	// Twice the slots: besides one connection for each there are those that
	// wait for a busy child or were given up.
	s.endpoint, err = newEndpoint(s.opts.RuntimeDir, max(16, 2*s.opts.Slots))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.endpoint.close()
		}
	}()
	// The master passes a TERM on to its group. A KILL would leave the children
	// to go on for ever. Scripts that compute do not hear a TERM: the watchdog
	// ends them.
	s.master, err = s.start(s.endpoint, s.opts.Slots, 0, syscall.SIGTERM)
	if err != nil {
		return err
	}
	// Not reaped yet, the master holds the number of its group even if it has
	// ended; from here on the watchdog does.
	s.watchdog, err = newWatchdog(s.master.cmd.Process.Pid)
	if err != nil {
		_ = killGroup(s.master.cmd.Process.Pid)
		s.discard(s.master)
		return err
	}
	s.watch(s.master, func() {})
	return nil
}

// first waits for the first child and keeps it for the first Launch.
func (s *Shared) awaitFirstChild(ctx context.Context) error {
	p, err := s.acquireChild(ctx, nil)
	if err != nil {
		return err
	}
	s.deliver(p)
	return nil
}

// Launch returns a worker that has answered: one of the children that the
// master has forked already. It refuses with ErrNoSlot when every slot has its
// worker. ctx bounds the start only.
func (s *Shared) Launch(ctx context.Context) (*Process, error) {
	if err := s.beginLaunch(); err != nil {
		return nil, err
	}
	p, err := s.acquireChild(ctx, nil)
	s.endLaunch(p)
	return p, err
}

func (s *Shared) drain(ctx context.Context, p *Process) (*Process, error) {
	if err := s.beginDrain(p); err != nil {
		return nil, err
	}
	q, err := s.acquireChild(ctx, p)
	s.endDrain(p, q)
	return q, err
}

// reach connects to whichever child accepts first.
func (s *Shared) dialChild(ctx context.Context) (*Process, error) {
	var retry backoff
	for {
		conn, who, err := connect(ctx, s.endpoint, s.opts.Handshake)
		if err != nil {
			return nil, err
		}
		c, err := s.identify(who)
		who.close()
		if err == nil && c != nil {
			return &Process{proc: c, conn: conn, owner: s}, nil
		}
		_ = conn.Close()
		if err != nil {
			return nil, err
		}
		if !retry.wait(ctx) {
			return nil, context.Cause(ctx)
		}
	}
}

// recognize returns the child that has answered, or nil if it is of no use:
//   - a script has forked (pcntl_fork), and the copy went on to accept as if it
//     were a child of the master. It is killed.
//   - it holds a slot, but has lost the connection of that slot, which the owner
//     is yet to notice.
func (s *Shared) identify(who *peer) (*child, error) {
	seen, err := procfs.ReadStat(who.pid)
	switch {
	case err != nil: // it has ended
		return nil, nil //nolint:nilnil // documented
	case seen.PPID != s.master.pid:
		who.kill()
		return nil, nil //nolint:nilnil // documented
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.children[who.pid]
	if c == nil || !c.alive() {
		if c, err = who.watch(); err != nil {
			return nil, err
		}
		if len(s.children) > 2*s.slots {
			maps.DeleteFunc(s.children, func(_ int, c *child) bool { return !c.alive() })
		}
		s.children[who.pid] = c
		return c, nil
	}
	for p := range s.owners {
		if p.proc == c && !p.draining {
			return nil, nil //nolint:nilnil // documented
		}
	}
	s.dropUnassignedLocked(c)
	return c, nil
}

func (s *Shared) table() *slotTable { return s.slotTable }
func (s *Shared) threadSafe() bool  { return s.opts.ZTS }

// Slots returns how many workers there can be at a time.
func (s *Shared) Slots() int { return s.slots }

// Done is closed when the master has ended. Its children go on, each until its
// connection is closed, and those with a script to its end; Close ends them.
func (s *Shared) Done() <-chan struct{} { return s.master.done }

// Close ends master and children and returns when none is left. Children that
// have never had a connection are killed, the others are asked. The workers
// should be idle: the TERM that ends a master goes to all of its group, and
// interrupts a script that sleeps or waits for a lock. When ctx ends, what is
// left is killed. It may be called twice.
func (s *Shared) Close(ctx context.Context) error {
	return s.close(ctx, func() error {
		for _, p := range append(s.closeSlots(), s.takeUnassigned()...) {
			_ = p.conn.Close()
		}
		unused := s.unusedChildren()
		_ = s.master.send(syscall.SIGTERM)
		for _, p := range unused { // after the master, which would fork new ones
			p.kill()
			p.close()
		}
		err := s.shutdown()
		s.endpoint.close()
		s.master.stderr.close()
		return err
	})
}
