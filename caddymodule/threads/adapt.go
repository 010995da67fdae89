package threads

import (
	"runtime"
	"time"
)

const (
	// interval is how often the limit is adapted. A burst waits that long for the
	// other CPUs, unless they were idle before it.
	interval = 200 * time.Millisecond

	// idleInterval is how often Caddy is measured while it may use all CPUs and uses
	// hardly any.
	idleInterval = 2 * time.Second

	// calm is how many samples in a row must allow a lower limit.
	calm = 3

	// maxBackoff limits the number of samples after which a limit that was too low is
	// tried again. It doubles each time.
	maxBackoff = int(time.Minute / interval)
)

// sample has the measurements of an interval, in CPUs.
type sample struct {
	used    float64 // by Caddy
	idle    float64 // by nobody
	waiting float64 // the average number of goroutines that could run and did not
}

// controller decides on the limit.
type controller struct {
	limit, max int

	steady  int // samples in a row that allowed a lower limit
	pause   int // samples until a lower limit may be tried
	backoff int // the next pause
	since   int // samples since the limit was lowered
}

func newController(limit int) *controller {
	return &controller{limit: limit, max: limit, backoff: calm}
}

// The limits of the decision, in CPUs. A limit harms where goroutines wait while a CPU
// is idle; it helps where no CPU is idle, and Caddy would make do with one less. Without a
// limit Caddy uses more than it needs, because threads that look for work count.
const (
	muchIdle = 0.4
	noneIdle = 0.25
	overhead = 0.2
)

// next takes a sample and returns the limit from now on.
func (c *controller) next(s sample) int {
	c.pause--
	c.since++
	switch {
	case c.limit < c.max && (s.idle >= 1 || s.idle >= muchIdle && s.waiting >= 1):
		c.limit++
		if s.idle < 1 && c.since < 4*c.backoff {
			c.backoff = min(2*c.backoff, maxBackoff)
		} else {
			c.backoff = calm
		}
		c.pause, c.steady = c.backoff, 0
	case c.limit > 1 && s.idle <= noneIdle && s.used <= float64(c.limit-1)+overhead:
		if c.steady++; c.steady >= calm && c.pause <= 0 {
			c.limit--
			c.steady, c.since = 0, 0
		}
	default:
		c.steady = 0
	}
	return c.limit
}

// resting are the CPUs below which Caddy has nothing to do.
const resting = 0.05

// pauseAfter returns how long to wait for the next sample after s.
func (c *controller) pauseAfter(s sample) time.Duration {
	if c.limit == c.max && s.used < resting {
		return idleInterval
	}
	return interval
}

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
		timer := time.NewTimer(interval)
		defer timer.Stop()
		for c := newController(limit); ; {
			select {
			case <-quit:
				return
			case <-timer.C:
			}
			before, pause := c.limit, interval
			if s, ok := m.sample(); ok {
				if c.next(s) != before {
					runtime.GOMAXPROCS(c.limit)
				}
				pause = c.pauseAfter(s)
			}
			timer.Reset(pause)
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}
