package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 400, 1 << 20: 400, 6 << 20: 400, 8 << 20: 300, 16 << 20: 140, 24 << 20: 100, 1 << 40: 100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes: got %d, want %d", live, got, want)
		}
	}
}

// withDefault makes GOGC what it is without the environment.
func withDefault(t *testing.T) {
	t.Helper()
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(defaultPercent)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// percent returns GOGC.
func percent() int {
	_, now := measure()
	return now
}

// waitFor collects garbage until GOGC is want.
func waitFor(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); percent() != want; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(end) {
			t.Fatalf("got GOGC %d, want %d", percent(), want)
		}
	}
}

func TestUse_AdaptsToTheHeap(t *testing.T) {
	withDefault(t)
	first, second := new(int), new(int)
	Use(first)
	waitFor(t, maxPercent) // the heap of this test is small
	live := make([]byte, 4*minGrowth)
	waitFor(t, defaultPercent)
	runtime.KeepAlive(live)
	waitFor(t, maxPercent)
	Use(second)
	Drop(first)
	if got := percent(); got != maxPercent {
		t.Errorf("one config of two has stopped: got GOGC %d", got)
	}
	Drop(second)
	if got := percent(); got != defaultPercent {
		t.Errorf("no config: got GOGC %d", got)
	}
}

// TestUse_SetByOthers has GOGC set by the environment, by somebody else before, and
// meanwhile.
func TestUse_SetByOthers(t *testing.T) {
	withDefault(t)
	t.Setenv("GOGC", "100")
	owner := new(int)
	Use(owner)
	if got := percent(); got != defaultPercent {
		t.Errorf("in the environment: got GOGC %d", got)
	}
	Drop(owner)
	t.Setenv("GOGC", "")
	debug.SetGCPercent(-1)
	Use(owner)
	if got := percent(); got != -1 {
		t.Errorf("off before: got GOGC %d", got)
	}
	Drop(owner)
	debug.SetGCPercent(defaultPercent)
	Use(owner)
	debug.SetGCPercent(50)
	runtime.GC()
	Drop(owner)
	if got := percent(); got != 50 {
		t.Errorf("set meanwhile: got GOGC %d", got)
	}
}
