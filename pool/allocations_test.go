//go:build !race

package pool

import "testing"

// TestALeaseAllocatesNothing: where a worker is idle. The race detector changes
// the count.
func TestALeaseAllocatesNothing(t *testing.T) {
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
