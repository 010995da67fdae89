package pool

import (
	"math/rand/v2"
	"time"
)

// Manager is the way in which a pool decides how many workers it has; the
// names are php-fpm's (pm).
type Manager string

// The managers.
const (
	// Static keeps exactly Max workers.
	Static Manager = "static"
	// Dynamic keeps between Min and Max, grows when a request would wait, and
	// keeps at most Spare idle ones.
	Dynamic Manager = "dynamic"
	// OnDemand keeps no worker at rest.
	OnDemand Manager = "ondemand"
)

// Size is how many workers a pool has, and when.
type Size struct {
	Manager Manager
	// MinWorkers is the fewest workers of a dynamic pool, whatever they do.
	MinWorkers int
	// StartWorkers is how many workers a dynamic pool launches when it opens.
	StartWorkers int
	// MaxWorkers is the most workers; a static pool always has as many.
	MaxWorkers int
	// MaxSpare is the most idle workers a dynamic pool keeps.
	MaxSpare int
	// IdleTimeout is how long a worker above what the manager keeps may be
	// idle.
	IdleTimeout time.Duration
	// MasterIdleTimeout is how long a generation without workers is kept, with
	// its master and its OPcache; 0 ends it with its last worker.
	MasterIdleTimeout time.Duration
}

// countsLocked is what the pure functions below judge by.
type counts struct {
	idle, busy, draining, starting, waiting int
}

// countsLocked is what decisions are made by; the caller holds the mutex.
func (p *Pool) countsLocked() counts {
	return counts{
		// Those that answer the health probe are as good as idle: back in
		// microseconds, and the first in line gets one of them.
		idle: p.inState[Idle] + p.internalLeases, busy: p.inState[Busy] - p.internalLeases, draining: p.inState[Draining],
		starting: p.starting, waiting: max(0, p.queue.len-p.internalLeases),
	}
}

func (c counts) total() int { return c.idle + c.busy + c.draining + c.starting }

// floor is how many workers there are at rest.
func (s Size) floor() int {
	switch s.Manager {
	case Static:
		return s.MaxWorkers
	case Dynamic:
		return s.MinWorkers
	case OnDemand:
		return 0
	}
	return 0
}

// initial is how many workers a generation has to show before it serves.
func (s Size) initial() int {
	switch s.Manager {
	case Static:
		return s.MaxWorkers
	case Dynamic:
		return min(max(s.StartWorkers, s.MinWorkers), s.MaxWorkers)
	case OnDemand:
		// One, as a test of the whole way; the idle timeout takes it again.
		return 1
	}
	return 1
}

// missing says how many workers to launch now: enough for the floor, and one
// for each request in line that no launch under way will serve.
func (s Size) missing(c counts) int {
	want := max(s.floor()-c.total(), c.waiting-c.starting)
	return max(0, min(want, s.MaxWorkers-c.total()))
}

// surplus says how many idle workers are too many, regardless of how long they
// have idled: a pool that was made smaller. So many as leave when their request
// ends are not counted.
func (s Size) surplus(c counts, leaving int) int {
	return max(0, min(c.idle, c.total()-leaving-s.MaxWorkers))
}

// expendable says how many of the idle workers may go once they have idled for
// IdleTimeout.
func (s Size) expendable(c counts) int {
	switch s.Manager {
	case Static:
		return 0
	case Dynamic:
		return max(0, min(c.idle, c.total()-s.MinWorkers))
	case OnDemand:
		return c.idle
	}
	return 0
}

// spareGrace is how long idle workers above Spare stay, so that two bursts in
// a row do not launch everything twice. php-fpm ends one of them a second. So
// long does a new generation also keep workers that are too many as long as
// requests of the old one run: most end by then.
const spareGrace = time.Second

// aboveMaxSpare says how many idle workers are more than Spare: they go after
// spareGrace instead of IdleTimeout, but not below the floor.
func (s Size) aboveMaxSpare(c counts) int {
	if s.Manager != Dynamic {
		return 0
	}
	return max(0, min(c.idle-s.MaxSpare, c.total()-s.MinWorkers))
}

// Limits bound a worker's life. 0 means no limit. A worker over a limit goes
// between two requests, so that it never costs one.
type Limits struct {
	// MaxRequests is how many requests a worker serves before it is replaced.
	MaxRequests int
	// MaxRequestsJitter is up to how many requests earlier it may go, so that workers
	// started together do not retire together.
	MaxRequestsJitter int
	// MaxAge is how long a worker lives.
	MaxAge time.Duration
	// MaxMemory is how many bytes a worker may have for itself, looked at after
	// each request.
	MaxMemory int64
	// HealthInterval is how often an idle worker is probed.
	HealthInterval time.Duration
}

// drawMaxRequests draws how many requests one worker may serve; 0 is no limit.
func (l Limits) drawMaxRequests() int {
	if l.MaxRequests == 0 || l.MaxRequestsJitter == 0 {
		return l.MaxRequests
	}
	return max(1, l.MaxRequests-rand.IntN(l.MaxRequestsJitter+1)) //nolint:gosec // spreads load, protects nothing
}

// exceededBy says which limit a worker is over, if any. budget is what requests
// drew for it.
func (l Limits) exceededBy(served, budget int, age time.Duration) Reason {
	switch {
	case budget > 0 && served >= budget:
		return MaxRequests
	case l.MaxAge > 0 && age >= l.MaxAge:
		return MaxAge
	}
	return NoReason
}
