package pool

import (
	"errors"
	"time"
)

// The errors that callers test for with errors.Is.
var (
	// ErrClosed means that the pool is closed, or was closed while the request
	// waited.
	ErrClosed = errors.New("pool is closed")
	// ErrQueueFull means that MaxQueue requests are waiting already.
	ErrQueueFull = errors.New("request queue is full")
	// ErrClientLimit means that the client has MaxPerClient workers and as many
	// requests waiting for them.
	ErrClientLimit = errors.New("client exceeds max_per_client")
	// ErrQueueTimeout means that no worker became available within QueueTimeout.
	ErrQueueTimeout = errors.New("no worker became available in time")
	// ErrRequestTimeout means that PHP ran longer than RequestTimeout.
	ErrRequestTimeout = errors.New("request exceeded request_timeout")
	// ErrWorkerDied means that the process exited while it ran the request.
	ErrWorkerDied = errors.New("worker exited during the request")
	// ErrQuarantined means that requests like this one crashed too many workers
	// recently, and are not run for now.
	ErrQuarantined = errors.New("script is quarantined after repeated worker crashes")
	// ErrNoWorker means that no worker has the given ID.
	ErrNoWorker = errors.New("no such worker")
	// ErrBusy means that no worker is idle. Query returns it instead of waiting.
	ErrBusy = errors.New("no worker is idle")
	// ErrNoWorkers means that the pool has no workers at the moment.
	ErrNoWorkers = errors.New("no worker is running")
)

// BootError means that a worker could not be launched because of its worker script: it
// has ended, or has not called frankenphp_handle_request() in time.
type BootError struct{ Err error }

func (e *BootError) Error() string { return "starting the worker script: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BootError) Unwrap() error { return e.Err }

// ScriptError means that the worker script has ended during a request, before it
// responded. Text is PHP's fatal error, or "".
type ScriptError struct{ Text string }

func (e *ScriptError) Error() string {
	if e.Text == "" {
		return "worker script ended before it responded"
	}
	return "worker script ended before it responded: " + e.Text
}

// LaunchError means that no worker was available because none could be started.
type LaunchError struct {
	// Err is the cause. It includes what php-cgi printed, if anything.
	Err error
	// RetryIn is the time until the next launch attempt.
	RetryIn time.Duration
}

func (e *LaunchError) Error() string { return "launching a worker: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LaunchError) Unwrap() error { return e.Err }
