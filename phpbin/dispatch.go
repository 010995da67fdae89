package phpbin

import (
	"context"
	"slices"
	"time"
)

// dispatcher matches children that have connected with callers that wait for one.
// The kernel decides which child accepts a connection, so a caller may reach
// another child than the one it needs: draining a worker needs that very worker, or
// its successor. A child that was idle all along will not do, because the abandoned
// script would then run on outside of every slot.
type dispatcher struct {
	// All guarded by the mutex of the slotTable.
	children   map[int]*child  // by pid; dead ones are removed when the map grows
	requests   []*childRequest // the oldest first
	unassigned []*Process      // have responded and belong to no caller yet
}

// childRequest is a caller that waits for a child.
type childRequest struct {
	drained *Process      // the worker whose slot is refilled; nil for a new slot
	result  chan *Process // capacity 1
	served  bool          // result has been sent; guarded by the mutex of the slotTable
}

// acceptsAny reports whether any child will do.
func (r *childRequest) acceptsAny() bool { return r.drained == nil || !r.drained.proc.alive() }

// acquireChild returns a child that has responded: for the slot of drained, or for
// a new one if that is nil.
func (s *Shared) acquireChild(ctx context.Context, drained *Process) (*Process, error) {
	start := time.Now()
	dialCtx, cancel := s.launchContext(ctx, s.master.done)
	r := &childRequest{drained: drained, result: make(chan *Process, 1)}
	s.addRequest(r)
	dialErr := make(chan error, 1)
	dialDone := make(chan struct{})
	go func() {
		defer close(dialDone)
		dialErr <- s.dialUntilServed(dialCtx, r)
	}()
	var exited <-chan struct{}
	if drained != nil {
		exited = drained.proc.done
	}
	var (
		p   *Process
		err error
	)
	for waiting := true; waiting; {
		select {
		case p = <-r.result:
			waiting = false
		case err = <-dialErr:
			waiting = false
		case <-exited:
			exited = nil
			s.match() // an unassigned child will do now
		}
	}
	cancel()
	<-dialDone
	s.removeRequest(r)
	if p == nil {
		select {
		case p = <-r.result:
		default:
			return nil, s.master.startError(ctx, start, err)
		}
	}
	return p, nil
}

// dialUntilServed dials children until r is served. Those that it reaches may be
// for other requests.
func (s *Shared) dialUntilServed(ctx context.Context, r *childRequest) error {
	for !s.served(r) {
		p, err := s.dialChild(ctx)
		if err != nil {
			return err
		}
		s.deliver(p)
	}
	return nil
}

// addRequest enqueues r, or serves it with an unassigned child.
func (s *Shared) addRequest(r *childRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	s.matchLocked()
}

func (s *Shared) served(r *childRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.served
}

// removeRequest removes r. It will not be served afterwards.
func (s *Shared) removeRequest(r *childRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = slices.DeleteFunc(s.requests, func(other *childRequest) bool { return other == r })
}

// deliver gives p to the request that waits for this very child, else to the
// oldest that accepts any, else keeps it as unassigned.
func (s *Shared) deliver(p *Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r.drained != nil && r.drained.proc == p.proc {
			s.assignLocked(r, p)
			return
		}
	}
	s.unassigned = append(s.unassigned, p)
	s.matchLocked()
}

func (s *Shared) match() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.matchLocked()
}

// matchLocked assigns unassigned children to requests, the oldest first.
func (s *Shared) matchLocked() {
	s.unassigned = slices.DeleteFunc(s.unassigned, func(p *Process) bool {
		if !p.proc.alive() {
			_ = p.conn.Close()
			return true
		}
		return false
	})
	for _, r := range slices.Clone(s.requests) {
		if i := s.unassignedForLocked(r); i >= 0 {
			p := s.unassigned[i]
			s.unassigned = slices.Delete(s.unassigned, i, i+1)
			s.assignLocked(r, p)
		}
	}
}

// unassignedForLocked returns the index of an unassigned child for r, or -1: the
// very child that it waits for, which another caller may have reached before r was
// added (and which then accepts no second connection), or any.
func (s *Shared) unassignedForLocked(r *childRequest) int {
	if r.drained != nil {
		if i := slices.IndexFunc(s.unassigned, func(p *Process) bool { return p.proc == r.drained.proc }); i >= 0 {
			return i
		}
	}
	if r.acceptsAny() {
		return len(s.unassigned) - 1
	}
	return -1
}

// assignLocked serves r with p. The drained worker must not signal its process any
// more, because p may have the same one.
func (s *Shared) assignLocked(r *childRequest, p *Process) {
	if r.drained != nil {
		r.drained.replaced = true
	}
	r.served = true
	r.result <- p
	s.requests = slices.DeleteFunc(s.requests, func(other *childRequest) bool { return other == r })
}

// dropUnassignedLocked removes an unassigned child that has accepted another
// connection, which means that its first one is lost.
func (s *Shared) dropUnassignedLocked(c *child) {
	s.unassigned = slices.DeleteFunc(s.unassigned, func(p *Process) bool {
		if p.proc == c {
			_ = p.conn.Close()
			return true
		}
		return false
	})
}

func (s *Shared) takeUnassigned() []*Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.unassigned
	s.unassigned = nil
	return list
}
