package phpbin

import (
	"context"
	"errors"
	"sync"
)

var errDrained = errors.New("phpbin: the worker was drained already")

// slotTable records which Process holds which slot of a launcher, and which
// launches and drains are in progress.
type slotTable struct {
	slots   int           // 0 means unlimited
	closing chan struct{} // closed by closeSlots

	mu        sync.Mutex
	closed    bool
	owners    map[*Process]struct{} // those that hold a slot; dead ones are removed by beginLaunch
	launching int
	tasks     sync.WaitGroup // added to only with mu held and closed false
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

// endLaunch gives the reserved slot to p, or frees it if p is nil.
func (t *slotTable) endLaunch(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.launching--
	if p != nil {
		t.owners[p] = struct{}{}
	}
	t.tasks.Done()
}

// beginDrain marks p as draining.
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
	t.owners[p] = struct{}{} // it may have died and been removed
	t.tasks.Add(1)
	return nil
}

// endDrain gives the slot of p to successor; p keeps it if that is nil.
func (t *slotTable) endDrain(p, successor *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.draining = false
	if successor != nil {
		p.replaced = true
		delete(t.owners, p)
		t.owners[successor] = struct{}{}
	}
	t.tasks.Done()
}

// closeSlots rejects new launches and drains, cancels those in progress, and
// returns the workers that hold a slot.
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

// launchContext returns a context that ends with ctx, when exited is closed
// (errExited), or by closeSlots (ErrClosed). Its cause shows which. The returned
// function must be called.
func (t *slotTable) launchContext(ctx context.Context, exited <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-exited:
			cancel(errExited)
		case <-t.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// errExited is the cause of a launchContext whose php-cgi exited.
var errExited = errors.New("php-cgi exited")
