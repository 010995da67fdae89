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
	owners    map[*Process]struct{} // those with a slot; dead ones are swept when it matters
	launching int
	tasks     sync.WaitGroup // added to while mu is held and closed is false
}

func newSlotTable(slots int) *slotTable {
	return &slotTable{slots: slots, closing: make(chan struct{}), owners: map[*Process]struct{}{}}
}

// beginLaunch reserves a slot.
func (t *slotTable) beginLaunch() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	for p := range t.owners {
		if !p.draining && !p.proc.alive() {
			delete(t.owners, p)
		}
	}
	if t.slots > 0 && len(t.owners)+t.launching >= t.slots {
		return ErrNoSlot
	}
	t.launching++
	t.tasks.Add(1)
	return nil
}

// endLaunch gives the slot to p, or back if p is nil.
func (t *slotTable) endLaunch(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.launching--
	if p != nil {
		t.owners[p] = struct{}{}
	}
	t.tasks.Done()
}

// beginDrain marks p as waiting.
func (t *slotTable) beginDrain(p *Process) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case p.replaced || p.draining:
		return errDrained
	}
	p.draining = true
	t.owners[p] = struct{}{} // it may have died and been swept
	t.tasks.Add(1)
	return nil
}

// endDrain gives the slot of p to q, or leaves it if q is nil.
func (t *slotTable) endDrain(p, q *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.draining = false
	if q != nil {
		p.replaced = true
		delete(t.owners, p)
		t.owners[q] = struct{}{}
	}
	t.tasks.Done()
}

// shut lets nothing begin any more, ends what is under way, and returns who
// holds a slot.
func (t *slotTable) closeSlots() []*Process {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.closing)
	}
	t.mu.Unlock()
	t.tasks.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*Process
	for p := range t.owners {
		list = append(list, p)
	}
	return list
}

// until returns a context that ends when ctx does, when gone is closed, or when
// the roster is shut; its cause says which.
func (t *slotTable) launchContext(ctx context.Context, gone <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-gone:
			cancel(errExited)
		case <-t.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// errExited is the cause of a context that ended with its php-cgi.
var errExited = errors.New("php-cgi ended")
