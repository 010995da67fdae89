package phpbin

import (
	"context"
	"errors"
	"sync"
)

var errDrained = errors.New("phpbin: the worker was drained already")

// slotTable is who holds the slots of a launcher, and which launches and drains
// are under way.
type slotTable struct {
	slots   int           // 0 means any number
	closing chan struct{} // closed by shut

	mu        sync.Mutex
	closed    bool
	held      map[*Process]struct{} // those with a slot; dead ones are swept when it matters
	launching int
	tasks     sync.WaitGroup // added to while mu is held and closed is false
}

func newRoster(slots int) *slotTable {
	return &slotTable{slots: slots, closing: make(chan struct{}), held: map[*Process]struct{}{}}
}

// beginLaunch reserves a slot.
func (r *slotTable) beginLaunch() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	for p := range r.held {
		if !p.draining && !p.proc.alive() {
			delete(r.held, p)
		}
	}
	if r.slots > 0 && len(r.held)+r.launching >= r.slots {
		return ErrNoSlot
	}
	r.launching++
	r.tasks.Add(1)
	return nil
}

// endLaunch gives the slot to p, or back if p is nil.
func (r *slotTable) endLaunch(p *Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.launching--
	if p != nil {
		r.held[p] = struct{}{}
	}
	r.tasks.Done()
}

// beginDrain marks p as waiting.
func (r *slotTable) beginDrain(p *Process) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return ErrClosed
	case p.passed || p.draining:
		return errDrained
	}
	p.draining = true
	r.held[p] = struct{}{} // it may have died and been swept
	r.tasks.Add(1)
	return nil
}

// endDrain gives the slot of p to q, or leaves it if q is nil.
func (r *slotTable) endDrain(p, q *Process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.draining = false
	if q != nil {
		p.passed = true
		delete(r.held, p)
		r.held[q] = struct{}{}
	}
	r.tasks.Done()
}

// shut lets nothing begin any more, ends what is under way, and returns who
// holds a slot.
func (r *slotTable) shut() []*Process {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.closing)
	}
	r.mu.Unlock()
	r.tasks.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*Process
	for p := range r.held {
		list = append(list, p)
	}
	return list
}

// until returns a context that ends when ctx does, when gone is closed, or when
// the roster is shut; its cause says which.
func (r *slotTable) until(ctx context.Context, gone <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-gone:
			cancel(errGone)
		case <-r.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// errGone is the cause of a context that ended with its php-cgi.
var errGone = errors.New("php-cgi ended")
