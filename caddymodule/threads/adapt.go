package threads

import (
	"runtime"
	"time"
)

// nap is how long nothing is measured after a slice with little to do. After that the
// next request begins a slice, so that without requests nothing is measured.
const nap = 300 * time.Millisecond

// startAdapting adapts GOMAXPROCS, at most to limit, until stop is called.
func startAdapting(limit int) (stop func()) {
	if limit < 2 {
		return func() {}
	}
	m, ok := newMeter()
	if !ok {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer m.close()
		adapt(limit, m.sample, quit)
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// adapt sets GOMAXPROCS, at most to limit, until quit is closed. measure returns a sample
// of the time since its last call.
func adapt(limit int, measure func() (sample, bool), quit <-chan struct{}) {
	defer sleeper.Store(nil)
	timer := time.NewTimer(0)
	defer timer.Stop()
	// wait returns false if it is time to quit.
	wait := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-quit:
			return false
		case <-timer.C:
			return true
		}
	}
	for c := newController(limit); ; {
		if c.rests() {
			if !wait(nap) {
				return
			}
			select {
			case <-quit:
				return
			case <-nextRequest():
				measure()
			}
		}
		if !wait(slice) {
			return
		}
		before := c.limit
		if s, ok := measure(); ok && c.next(s) != before {
			runtime.GOMAXPROCS(c.limit)
			measure() // waits for the collector, which is not to count
		}
	}
}
