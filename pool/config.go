package pool

import (
	"time"

	"go.uber.org/zap"
)

// Config is the configuration of a new Pool.
type Config struct {
	// Name identifies the pool in logs and statistics.
	Name string
	// Start starts a generation.
	Start Starter
	// Settings can be changed while the pool runs, see [Pool.Configure].
	Settings Settings
	// Total limits the workers of several pools together; nil means no limit.
	Total *TotalLimit
	// Logger receives worker exits, launch failures and slow requests; nil
	// disables logging.
	Logger *zap.Logger
}

// Settings are the settings that can change while the pool runs, because the
// worker processes do not depend on them. The zero value of a duration or number
// means "no limit" unless stated otherwise. The caller validates them; package
// caddymodule documents the option of the same name.
type Settings struct {
	Size
	Limits
	Quarantine

	// StartTimeout limits the start of a generation, and of each worker.
	StartTimeout time.Duration
	// QueueTimeout limits how long a request waits for a worker.
	QueueTimeout time.Duration
	// StopTimeout limits how long an idle worker may take to exit before it is
	// killed.
	StopTimeout time.Duration
	// RequestTimeout limits how long PHP may run for one request.
	RequestTimeout time.Duration
	// SlowRequest is the duration after which a request is logged as slow.
	SlowRequest time.Duration
	// BacktraceDepth is the number of calls in the log of a slow request.
	BacktraceDepth int
	// Boots means that each worker starts a worker script before it is ready, which may
	// take as long as StartTimeout.
	Boots bool
	// LaunchFailures is how many launches in a row must fail before waiting requests
	// are rejected while none succeeds. 0: as soon as launches are delayed.
	LaunchFailures int
	// MaxQueue limits the number of waiting requests. With 0 a request waits
	// only if a worker is being launched for it.
	MaxQueue int
	// MaxPerClient limits the number of workers that one client occupies; as
	// many more of its requests may wait for them.
	MaxPerClient int
	// Slots is the number of workers that a new generation has room for, if it
	// is more than MaxWorkers. The pool can grow that far without a restart.
	Slots int
}

// needsGeneration reports whether a generation with this many slots is too small
// for the settings; 0 slots means that the generation has no limit.
func (s *Settings) needsGeneration(slots int) bool { return slots > 0 && s.MaxWorkers > slots }

// slots returns the number of slots to start a generation with: a few more than
// the maximum, so that a replacement can start before its predecessor has
// exited. An unused slot costs 0.1 to 0.4 MB with shared php-cgi (a forked
// child).
func (s *Settings) slots() int { return max(s.Slots, s.MaxWorkers) + 1 + s.MaxWorkers/8 }
