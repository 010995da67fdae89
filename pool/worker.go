package pool

import (
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// worker is one process slot and one connection. Everything in it belongs to
// the pool's mutex but for conn and proc, which whoever has the lease may use:
// they are replaced only while the worker drains.
type worker struct {
	id    uint64
	gen   *generation
	proc  Process
	conn  *fastcgi.Conn
	state State

	// reason is why it leaves: set when it starts to.
	reason Reason
	// doomed marks a worker that has to go when its request ends; killed one
	// that was killed in its request, and why.
	doomed, killed Reason

	// turn counts the leases given; a lease of an earlier turn is void.
	turn uint64

	// Moments on the pool's clock (see Pool.clock).
	born, idleSince, busySince, probed time.Duration

	served int
	budget int // how many requests it may serve, 0 for no limit

	// Of the request it runs, or ran last.
	info     Info
	slowTold bool
	overtime *overtime
	limit    time.Duration // how long it may take, 0 for no limit
	probing  bool          // it is not a request but the health probe

	// Since when it drains, and when its script was asked to end (0: never).
	drainSince, askedToEnd time.Duration
}

// ended reports whether the process is known to have ended.
func (w *worker) ended() bool {
	select {
	case <-w.proc.Done():
		return true
	default:
		return false
	}
}

// Info says what a request is, for logs and statistics; nothing is decided by
// it but the quarantine of a script.
type Info struct {
	// Method and URI as the client sent them.
	Method, URI string
	// Script is the file that PHP runs.
	Script string
	// Patience bounds the wait in line where it is shorter than the pool's
	// QueueTimeout; 0 does not.
	Patience time.Duration
}
