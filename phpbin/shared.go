package phpbin

import (
	"context"
	"fmt"
	"maps"
	"syscall"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/procfs"
)

// Shared is one php-cgi master with a fixed number of children, which it replaces
// when they exit. They share one OPcache and the memory that the master has set up
// at startup, so an idle child takes 0.1 to 0.4 MB, and a new one milliseconds.
type Shared struct {
	*group
	*slotTable
	dispatcher
	master   *phpProcess
	endpoint *endpoint

	connected map[int]bool // children that have responded since the last tick of watchChildren; guarded by mu
}

// StartShared starts a master with o.Slots children and returns when the first of
// them has responded. ctx limits the start only. On systems other than Linux it
// returns errors.ErrUnsupported: only Linux identifies the child that has responded, and
// makes it possible to stop all of them reliably.
func StartShared(ctx context.Context, o Options) (*Shared, error) {
	if err := sharedSupported(); err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Slots < 1 {
		return nil, fmt.Errorf("slots must be at least 1, got %d", o.Slots)
	}
	g, err := newGroup(o)
	if err != nil {
		return nil, err
	}
	s := &Shared{group: g, slotTable: newSlotTable(o.Slots)}
	s.children, s.connected = map[int]*child{}, map[int]bool{}
	if err := s.startMaster(); err != nil {
		g.stopThread()
		return nil, err
	}
	if err := s.awaitFirstChild(ctx); err != nil {
		err = g.describeFailure(ctx, err) // as long as the file of the prelude exists
		s.watchdog.killAll()              // no script has run: all of the group is part of the failed start
		now, cancel := context.WithCancel(ctx)
		cancel()
		_ = s.Close(now) // the error of the start is the one to report
		return nil, err
	}
	if o.Prelude.Directive == Preload {
		s.removePrelude() // the children have what the master has loaded
	}
	go s.watchChildren()
	return s, nil
}

// startMaster starts the master and the watchdog. On error it leaves nothing
// behind.
func (s *Shared) startMaster() (err error) {
	s.endpoint, err = newEndpoint(s.opts, s.tag)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.endpoint.close()
		}
	}()
	// The master forwards a TERM to its group; a KILL would leave the children
	// running forever. PHP does not handle TERM while a script computes: the
	// watchdog kills such children.
	s.master, err = s.start(s.endpoint, s.opts.Slots, 0, syscall.SIGTERM)
	if err != nil {
		return err
	}
	// The master is not reaped yet, so the number of its group stays reserved even
	// if it has exited; from here on the watchdog reserves it.
	s.watchdog, err = newWatchdog(s.master.cmd.Process.Pid, s.prelude, s.opts.Notice)
	if err != nil {
		_ = killGroup(s.master.cmd.Process.Pid)
		s.discard(s.master)
		return err
	}
	s.watch(s.master, func() {})
	return nil
}

// awaitFirstChild waits for the first child and keeps it for the first Launch.
func (s *Shared) awaitFirstChild(ctx context.Context) error {
	p, err := s.acquireChild(ctx, nil)
	if err != nil {
		return err
	}
	s.deliver(p)
	return nil
}

// Launch returns a worker that has responded: one of the children that the master
// has forked. It returns ErrNoSlot if every slot has a worker. ctx limits the start
// only.
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
	successor, err := s.acquireChild(ctx, p)
	s.endDrain(p, successor)
	return successor, err
}

// dialChild connects to the child that accepts first.
func (s *Shared) dialChild(ctx context.Context) (*Process, error) {
	var retry backoff
	for {
		conn, peer, err := connect(ctx, s.endpoint, s.opts.Handshake)
		if err != nil {
			return nil, err
		}
		c, err := s.childOf(peer)
		peer.close()
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

// childOf returns the child that has responded, or nil if it cannot be used:
//   - A script has forked (pcntl_fork), and its copy accepts connections as if it
//     were a child of the master. It is killed.
//   - The child has lost the connection of its slot, which the owner of the slot
//     has not noticed yet.
func (s *Shared) childOf(peer *peer) (*child, error) {
	stat, err := procfs.ReadStat(peer.pid)
	switch {
	case err != nil: // it has exited
		return nil, nil //nolint:nilnil // documented
	case stat.PPID != s.master.pid:
		peer.kill()
		return nil, nil //nolint:nilnil // documented
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected[peer.pid] = true
	c := s.children[peer.pid]
	if c == nil || !c.alive() {
		if c, err = peer.watch(); err != nil {
			return nil, err
		}
		if len(s.children) > 2*s.slots {
			maps.DeleteFunc(s.children, func(_ int, c *child) bool { return !c.alive() })
		}
		s.children[peer.pid] = c
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

// Slots returns the maximum number of workers.
func (s *Shared) Slots() int { return s.slots }

// Done is closed when the master has exited. A child then serves until its
// connection is closed, and finishes a script that it runs; Close stops all of them.
func (s *Shared) Done() <-chan struct{} { return s.master.done }

// WorkersStay reports, once Done is closed, whether the children go on serving. A
// master that gets TERM, INT or QUIT sends TERM to its group and exits with 0
// (sapi/cgi/cgi_main.c, fastcgi_cleanup); each child then ends after one more
// request. Any other exit leaves the children as they are.
func (s *Shared) WorkersStay() bool {
	select {
	case <-s.master.done:
		return s.master.cmd.ProcessState.ExitCode() != 0
	default:
		return true
	}
}

// Close stops the master and its children and returns when none is left. The
// workers should be idle: TERM interrupts a script that sleeps or waits for a lock.
// Children that have never served are killed, and with Options.KillIdle also workers
// whose script has ended. When ctx ends, those that remain are
// killed. Other programs that scripts have started stay: see KillJobs. Close may be
// called again.
//
// The master is killed, because it would pass a TERM on to its process group, and so
// to those programs too. It has nothing to finish.
func (s *Shared) Close(ctx context.Context) error {
	return s.close(ctx, func() error {
		idle := s.idleChildren()
		_ = s.master.kill()
		for _, p := range append(s.closeSlots(), s.takeUnassigned()...) {
			_ = p.conn.Close()
		}
		s.endChildren(idle)
		err := s.shutdown(s.isChild)
		s.endpoint.close()
		return err
	})
}

// idleChildren returns the workers that may be killed: not those of which a Drain waits
// for the end of a script.
func (s *Shared) idleChildren() map[*child]bool {
	idle := map[*child]bool{}
	if !s.opts.KillIdle {
		return idle
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.owners {
		if !p.draining {
			idle[p.proc] = true
		}
	}
	return idle
}

// endChildren kills the children in idle, and sends TERM to the others that have served:
// they exit when they are idle and their connection is closed.
func (s *Shared) endChildren(idle map[*child]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.children {
		if idle[c] {
			_ = c.kill()
		} else {
			_ = c.send(syscall.SIGTERM)
		}
	}
}

// isChild reports whether the process is a child that has served.
func (s *Shared) isChild(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.children[pid]
	return c != nil && c.alive()
}
