package pool

import (
	"errors"
	"time"
)

// What callers ask for with errors.Is.
var (
	// ErrClosed: the pool is closed, or was while the request waited.
	ErrClosed = errors.New("the pool is closed")
	// ErrQueueFull: as many requests as MaxQueue allows are waiting already.
	ErrQueueFull = errors.New("the line of waiting requests is full")
	// ErrClientLimit: the client has as many requests here as MaxPerClient
	// allows, and as many waiting for them.
	ErrClientLimit = errors.New("the client has more requests at a time than max_per_client allows")
	// ErrQueueTimeout: no worker became free within QueueTimeout.
	ErrQueueTimeout = errors.New("no worker became free in time")
	// ErrRequestTimeout: PHP ran longer than RequestTimeout.
	ErrRequestTimeout = errors.New("the request ran longer than request_timeout allows")
	// ErrWorkerDied: the process ended while it ran the request.
	ErrWorkerDied = errors.New("the worker died while it ran the request")
	// ErrQuarantined: the script killed too many workers lately; it is not run.
	ErrQuarantined = errors.New("the script killed too many workers and is quarantined")
	// ErrNoWorker: there is no such worker.
	ErrNoWorker = errors.New("no such worker")
	// ErrBusy: no worker is idle, and what was asked is not worth waiting for.
	ErrBusy = errors.New("no worker is idle")
	// ErrNoWorkers: the pool has no worker at all at the moment.
	ErrNoWorkers = errors.New("no worker runs")
)

// LaunchError says that no worker could be had because none could be started.
type LaunchError struct {
	// Err is the cause, with php-cgi's own words where it said any.
	Err error
	// RetryIn is how long the pool waits before it tries again.
	RetryIn time.Duration
}

func (e *LaunchError) Error() string { return "launching a worker: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LaunchError) Unwrap() error { return e.Err }
