package pool

import (
	"time"

	"go.uber.org/zap"
)

// Config makes a Pool.
type Config struct {
	// Name says which pool it is, in logs and statistics.
	Name string
	// StartWorkers begins a generation.
	Start Starter
	// Settings can change while the pool lives; see [Pool.Configure].
	Settings Settings
	// Logger is where the pool tells of workers lost and launches failed; nil
	// for silence.
	Logger *zap.Logger
}

// Settings are what acts on the live pool: nothing in it is seen by a process.
// The zero value of each duration and number means "no limit" unless said
// otherwise. The caller has validated them; see the option of the same name in
// package caddymodule.
type Settings struct {
	Size
	Limits
	Quarantine

	// StartTimeout bounds the start of a generation and of each worker.
	StartTimeout time.Duration
	// QueueTimeout bounds how long a request waits in line.
	QueueTimeout time.Duration
	// StopTimeout bounds how long an idle worker may take to end when asked.
	StopTimeout time.Duration
	// RequestTimeout bounds how long PHP may run for one request.
	RequestTimeout time.Duration
	// SlowRequest is from when on a request is logged as slow.
	SlowRequest time.Duration
	// MaxQueue bounds how many requests wait in line; 0 lets none wait but
	// those for whom a worker is being launched.
	MaxQueue int
	// MaxPerClient bounds how many workers one client has; as many requests
	// more of it wait for these. 0 is no bound.
	MaxPerClient int
	// Slots is for how many workers a generation is started where it may have
	// to grow above Max; 0 is for Max.
	Slots int
}

// needsGeneration reports whether a generation with so many slots is too small
// for the settings.
func (s *Settings) needsGeneration(slots int) bool { return slots > 0 && s.MaxWorkers > slots }

// slots is how many a new generation is started with: the maximum, and a few
// more so that a replacement can stand before its predecessor has ended. An
// unused slot of a shared generation costs 0.1 to 0.4 MB (a forked child).
func (s *Settings) slots() int { return max(s.Slots, s.MaxWorkers) + 1 + s.MaxWorkers/8 }
