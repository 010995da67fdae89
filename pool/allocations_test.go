//go:build !race

package pool

import (
	"runtime"
	"testing"
	"time"
)

// The race detector changes the counts.

// TestAllocations_Acquire: where a worker is idle.
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

// TestAllocations_Queue: nor does a place in line, once as many
// have waited before. How long it lasts is bounded here, as it is by default.
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
