// Package heap lets Go collect garbage less often while Caddy's heap is small.
//
// Go collects when the heap has doubled. Caddy's live objects take about 6 MiB, so that is
// after every 700 requests, and each collection takes 5 ms of CPU time, and slows Caddy
// down for 15 ms.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
)

const (
	// minGrowth is how much the heap may grow before the next collection, in bytes, even
	// if its live objects take less.
	minGrowth = 24 << 20

	// defaultPercent is GOGC if nobody has set it: the heap may double.
	defaultPercent = 100

	// maxPercent is for a heap whose live objects are few, or not known yet.
	maxPercent = 400
)

// active has the configs that have started and were not stopped.
var active struct {
	mu     sync.Mutex
	owners []any
	tuner  *tuner // nil if no config is active, or somebody else sets GOGC
}

// Use begins to adapt GOGC, until Drop is called with the same owner. It does nothing if
// GOGC is in the environment. GOMEMLIMIT, which Caddy takes from the cgroup, still holds.
func Use(owner any) {
	active.mu.Lock()
	defer active.mu.Unlock()
	active.owners = append(active.owners, owner)
	if active.tuner == nil && os.Getenv("GOGC") == "" {
		active.tuner = startTuner()
	}
}

// Drop ends a use. The last one restores GOGC.
func Drop(owner any) {
	active.mu.Lock()
	defer active.mu.Unlock()
	active.owners = slices.DeleteFunc(active.owners, func(o any) bool { return o == owner })
	if len(active.owners) == 0 && active.tuner != nil {
		active.tuner.stop()
		active.tuner = nil
	}
}

// tuner sets GOGC after each collection.
type tuner struct {
	mu      sync.Mutex
	percent int // that it has set last
	stopped bool
}

// startTuner returns nil if somebody else has set GOGC.
func startTuner() *tuner {
	t := &tuner{percent: defaultPercent}
	if !t.adapt() {
		return nil
	}
	t.afterCollection()
	return t
}

// afterCollection calls adapt after the next collection, and so on: a collection finds
// what nothing refers to, and its finalizer runs.
func (t *tuner) afterCollection() {
	type garbage struct{ _ *byte } // with a pointer: Go joins small objects without one
	runtime.SetFinalizer(new(garbage), func(*garbage) {
		if t.adapt() {
			t.afterCollection()
		}
	})
}

// adapt sets GOGC for the live objects that the last collection has found. It returns
// false when the tuner was stopped, or somebody else has set GOGC, who may keep that.
func (t *tuner) adapt() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	live, now := measure()
	if now != t.percent {
		t.stopped = true
	}
	if t.stopped {
		return false
	}
	t.setLocked(percentFor(live))
	return true
}

// stop restores GOGC, unless somebody else has set it.
func (t *tuner) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, now := measure(); now == t.percent && !t.stopped {
		t.setLocked(defaultPercent)
	}
	t.stopped = true
}

// setLocked sets GOGC if that changes it, because it stops all goroutines for a moment.
func (t *tuner) setLocked(percent int) {
	if percent != t.percent {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
}

// measure returns the bytes of live objects that the last collection has found, 0 before
// the first one, and GOGC, -1 if that is off.
func measure() (live uint64, percent int) {
	samples := [...]metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(samples[:])
	return samples[0].Value.Uint64(), int(samples[1].Value.Uint64())
}

// percentFor returns GOGC for so many bytes of live objects, in steps of 20.
func percentFor(live uint64) int {
	if live == 0 {
		return maxPercent
	}
	return int(min(max(minGrowth*100/live/20*20, defaultPercent), maxPercent))
}
