package phpbin

import (
	"context"
	"slices"
	"time"
)

// dispatcher brings the children of a master that answer together with those who
// wait for one. A connection goes to whichever child accepts it, which need not
// be the one that its dialer has in mind: who drains a worker wants that very
// worker back, or its successor, and not one that has been idle all along.
// Otherwise the abandoned script would run on outside of every slot.
type dispatcher struct {
	// All guarded by the mutex of the roster.
	children   map[int]*child // by pid; the dead are swept when it grows
	requests   []*childRequest
	unassigned []*Process // have answered and are nobody's yet
}

// want is someone who waits for a child.
type childRequest struct {
	from   *Process      // whose slot is to be filled again; nil for a new one
	got    chan *Process // capacity 1
	served bool          // got has had it; guarded as the exchange is
}

// fits reports whether a child that is nobody's is one for w.
func (w *childRequest) acceptsAny() bool { return w.from == nil || !w.from.proc.alive() }

// obtain returns a child that has answered, for the slot of from if any.
func (s *Shared) acquireChild(ctx context.Context, from *Process) (*Process, error) {
	begun := time.Now()
	limit, cancel := s.launchContext(ctx, s.master.done)
	w := &childRequest{from: from, got: make(chan *Process, 1)}
	s.addRequest(w)
	dialed := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		dialed <- s.dialUntilServed(limit, w)
	}()
	var died <-chan struct{}
	if from != nil {
		died = from.proc.done
	}
	var (
		p   *Process
		err error
	)
	for waiting := true; waiting; {
		select {
		case p = <-w.got:
			waiting = false
		case err = <-dialed:
			waiting = false
		case <-died:
			died = nil
			s.match() // a spare one will do now
		}
	}
	cancel()
	<-ended
	s.removeRequest(w)
	if p == nil {
		select {
		case p = <-w.got:
		default:
			return nil, s.master.startError(ctx, begun, err)
		}
	}
	return p, nil
}

// dial reaches children until w has its own. What it reaches may be another's.
func (s *Shared) dialUntilServed(ctx context.Context, w *childRequest) error {
	for !s.served(w) {
		p, err := s.dialChild(ctx)
		if err != nil {
			return err
		}
		s.deliver(p)
	}
	return nil
}

// enter lets w wait; what is spare is tried first.
func (s *Shared) addRequest(w *childRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, w)
	s.matchLocked()
}

func (s *Shared) served(w *childRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.served
}

// leave ends the waiting; if w was not served it will not be any more.
func (s *Shared) removeRequest(w *childRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = slices.DeleteFunc(s.requests, func(other *childRequest) bool { return other == w })
}

// offer gives p to who waits for this very child, or for any, or keeps it.
func (s *Shared) deliver(p *Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.requests {
		if w.from != nil && w.from.proc == p.proc {
			s.assignLocked(w, p)
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

// matchLocked gives what is spare to those who wait, the longest first.
func (s *Shared) matchLocked() {
	s.unassigned = slices.DeleteFunc(s.unassigned, func(p *Process) bool {
		if !p.proc.alive() {
			_ = p.conn.Close()
			return true
		}
		return false
	})
	for _, w := range slices.Clone(s.requests) {
		if i := s.unassignedForLocked(w); i >= 0 {
			p := s.unassigned[i]
			s.unassigned = slices.Delete(s.unassigned, i, i+1)
			s.assignLocked(w, p)
		}
	}
}

// unassignedForLocked finds the spare one that is for w, -1 if there is none: the
// very child that it waits for, which somebody else may have reached before w
// began to wait (and which then answers no second dialer), or any.
func (s *Shared) unassignedForLocked(w *childRequest) int {
	if w.from != nil {
		if i := slices.IndexFunc(s.unassigned, func(p *Process) bool { return p.proc == w.from.proc }); i >= 0 {
			return i
		}
	}
	if w.acceptsAny() {
		return len(s.unassigned) - 1
	}
	return -1
}

// assignLocked gives p to w. From now on the process that w waited for is not
// to be signalled through it any more: p may be the same one.
func (s *Shared) assignLocked(w *childRequest, p *Process) {
	if w.from != nil {
		w.from.replaced = true
	}
	w.served = true
	w.got <- p
	s.requests = slices.DeleteFunc(s.requests, func(other *childRequest) bool { return other == w })
}

// dropUnassignedLocked forgets a spare that has connected anew: its first connection
// is lost.
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
