package pool

import (
	"math/rand/v2"
	"time"
)

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
