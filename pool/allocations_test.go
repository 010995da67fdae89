//go:build !race && unix

package pool

import (
	"runtime"
	"testing"
	"time"
)

// The race detector changes the number of allocations, and so do the connections of Windows.

// TestAllocations_Acquire leases an idle worker.
func TestAllocations_Acquire(t *testing.T) {
	p := benchPool(t, 4)
	if n := testing.AllocsPerRun(1000, func() {
		l, err := p.Acquire(t.Context(), benchInfo)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAllocations_Queue waits in the queue, with a queue timeout as by default.
// The free list of waiters makes that free of allocations, too.
func TestAllocations_Queue(t *testing.T) {
	p := benchPool(t, 1)
	p.mu.Lock()
	p.settings.QueueTimeout = time.Minute
	p.mu.Unlock()
	hold, held := make(chan struct{}), make(chan Lease)
	go func() {
		for range hold {
			l, err := p.Acquire(t.Context(), benchInfo)
			if err != nil {
				t.Error(err)
			}
			held <- l
			for waits := false; !waits; runtime.Gosched() {
				p.mu.Lock()
				waits = p.queue.len > 0
				p.mu.Unlock()
			}
			l.Release()
		}
	}()
	defer close(hold)
	if n := testing.AllocsPerRun(1000, func() {
		hold <- struct{}{}
		<-held
		l, err := p.Acquire(t.Context(), benchInfo)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
