package pool

import (
	"math/rand/v2"
	"time"
)

// Manager controls the number of workers, like pm of php-fpm.
type Manager string

// The managers.
const (
	// Static keeps exactly MaxWorkers workers.
	Static Manager = "static"
	// Dynamic keeps MinWorkers to MaxWorkers workers. It launches one when a request
	// would have to wait, and keeps at most MaxSpare idle ones.
	Dynamic Manager = "dynamic"
	// OnDemand launches workers when requests need them, and stops them when idle.
	OnDemand Manager = "ondemand"
)

// Size controls the number of workers.
type Size struct {
	Manager Manager
	// MinWorkers is the minimum number of workers of a dynamic pool.
	MinWorkers int
	// StartWorkers is the number of workers that a dynamic pool starts with.
	StartWorkers int
	// MaxWorkers is the maximum number of workers. A static pool always has that many.
	MaxWorkers int
	// MaxSpare is the maximum number of idle workers that a dynamic pool keeps.
	MaxSpare int
	// IdleTimeout is how long a worker above the minimum may be idle.
	IdleTimeout time.Duration
	// MasterIdleTimeout is how long a generation without workers keeps its master and
	// its OPcache; with 0 it is closed with its last worker.
	MasterIdleTimeout time.Duration
}

// counts is the input of the functions below, which decide without other state.
type counts struct {
	idle, busy, draining, starting, waiting int
}

// countsLocked returns the current numbers of workers and waiting requests.
func (p *Pool) countsLocked() counts {
	return counts{
		// Workers leased for a health check or a query count as idle: they are back
		// in microseconds, and the first waiting request gets one of them.
		idle: p.inState[Idle] + p.internalLeases, busy: p.inState[Busy] - p.internalLeases, draining: p.inState[Draining],
		starting: p.starting, waiting: max(0, p.queue.len-p.internalLeases),
	}
}

func (c counts) total() int { return c.idle + c.busy + c.draining + c.starting }

// Minimum returns the minimum number of workers.
func (s Size) Minimum() int {
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

// initial returns how many workers a generation must start before it is active.
func (s Size) initial() int {
	switch s.Manager {
	case Static:
		return s.MaxWorkers
	case Dynamic:
		return min(max(s.StartWorkers, s.MinWorkers), s.MaxWorkers)
	case OnDemand:
		// One, to test that workers can be launched; it stops after IdleTimeout.
		return 1
	}
	return 1
}

// missing returns how many workers to launch now: enough for the minimum, and one
// for each waiting request that has no launch in progress.
func (s Size) missing(c counts) int {
	want := max(s.Minimum()-c.total(), c.waiting-c.starting)
	return max(0, min(want, s.MaxWorkers-c.total()))
}

// surplus returns how many idle workers exceed MaxWorkers, after the pool was made
// smaller. leaving is the number of busy workers that stop when their request
// ends.
func (s Size) surplus(c counts, leaving int) int {
	return max(0, min(c.idle, c.total()-leaving-s.MaxWorkers))
}

// expendable returns how many idle workers may stop after IdleTimeout.
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

// spareGrace is how long idle workers above MaxSpare are kept, so that two bursts
// in a row do not launch them twice; php-fpm stops one per second. A new generation
// also keeps surplus workers that long while requests of the old one run, because
// most of those end by then.
const spareGrace = time.Second

// aboveMaxSpare returns how many idle workers exceed MaxSpare. They stop after
// spareGrace instead of IdleTimeout, but never below the minimum.
func (s Size) aboveMaxSpare(c counts) int {
	if s.Manager != Dynamic {
		return 0
	}
	return max(0, min(c.idle-s.MaxSpare, c.total()-s.MinWorkers))
}

// Limits limit the life of a worker; 0 means no limit. A worker that exceeds one
// is replaced between two requests, so that no request fails.
type Limits struct {
	// MaxRequests is the number of requests after which a worker is replaced.
	MaxRequests int
	// MaxRequestsJitter is the maximum number of requests by which that is reduced
	// at random, so that workers started together are not replaced together.
	MaxRequestsJitter int
	// MaxAge is the age at which a worker is replaced.
	MaxAge time.Duration
	// MaxMemory is the private memory of a worker in bytes, checked after each
	// request.
	MaxMemory int64
	// HealthInterval is the interval of health checks of an idle worker.
	HealthInterval time.Duration
}

// drawMaxRequests draws the number of requests after which one worker is replaced;
// 0 means no limit.
func (l Limits) drawMaxRequests() int {
	if l.MaxRequests == 0 || l.MaxRequestsJitter == 0 {
		return l.MaxRequests
	}
	return max(1, l.MaxRequests-rand.IntN(l.MaxRequestsJitter+1)) //nolint:gosec // spreads load, protects nothing
}

// exceededBy returns the limit that a worker exceeds, or NoReason. maxRequests is
// the result of drawMaxRequests.
func (l Limits) exceededBy(served, budget int, age time.Duration) Reason {
	switch {
	case budget > 0 && served >= budget:
		return MaxRequests
	case l.MaxAge > 0 && age >= l.MaxAge:
		return MaxAge
	}
	return NoReason
}
