package threads

import "sync/atomic"

// served counts the requests that came for PHP.
var served atomic.Int64

// sleeper is closed by the next request; nil if nobody waits for one.
var sleeper atomic.Pointer[chan struct{}]

// Request counts a request that comes for PHP.
func Request() {
	served.Add(1)
	if c := sleeper.Load(); c != nil && sleeper.CompareAndSwap(c, nil) {
		close(*c)
	}
}

// nextRequest returns a channel that the next request closes.
func nextRequest() <-chan struct{} {
	c := make(chan struct{})
	sleeper.Store(&c)
	return c
}
