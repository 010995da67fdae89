package pool

import (
	"fmt"
	"slices"
)

// State answers one question: may this worker get a request? Why it leaves is
// a Reason.
type State uint8

// The states of a worker; see the diagram in doc.go.
const (
	// Starting: being launched; it counts against the maximum.
	Starting State = iota
	// Idle: connected, quiet, waiting for a request.
	Idle
	// BusyTime: on loan to one request.
	Busy
	// Draining: its client has left and PHP still runs; the slot is not free.
	Draining
	// Stopping: told to end; it gets no request any more.
	Stopping
	// Gone: the process has ended.
	Gone

	states = int(Gone) + 1
)

var stateNames = [states]string{"starting", "idle", "busy", "draining", "stopping", "gone"}

func (s State) String() string { return stateNames[s] }

// moves lists where each state may go. Whatever is not here is a bug.
var moves = [states][]State{
	Starting: {Idle, Busy, Stopping, Gone},
	Idle:     {Busy, Stopping, Gone},
	Busy:     {Idle, Busy, Draining, Stopping, Gone},
	Draining: {Idle, Busy, Stopping, Gone},
	Stopping: {Gone},
	Gone:     {},
}

// checkMove panics unless a worker may go from one state to the other.
func checkMove(from, to State) {
	if !slices.Contains(moves[from], to) {
		panic(fmt.Sprintf("bug: worker cannot go from %v to %v", from, to))
	}
}

// Reason tells why a worker left, or why it drained.
type Reason uint8

// The reasons, as logs, status and metrics name them.
const (
	// NoReason: it has not left.
	NoReason Reason = iota
	// MaxRequests: it has served as many requests as Limits.MaxRequests allows.
	MaxRequests
	// MaxAge: it has lived as long as Limits.MaxAge allows.
	MaxAge
	// MaxMemory: it holds more memory than Limits.MaxMemory allows.
	MaxMemory
	// IdleTimeout: it had nothing to do for Size.IdleTimeout.
	IdleTimeout
	// RequestTimeout: its request went over the time and had to be killed.
	RequestTimeout
	// Crashed: the process ended by itself, or broke the protocol.
	Crashed
	// ProbeFailed: it did not answer the health probe.
	ProbeFailed
	// Abandoned: its client left, and the process could not be had back.
	Abandoned
	// Recycled: an administrator asked, or its generation was replaced.
	Recycled
	// Closed: the pool was closed, or became smaller.
	Closed

	reasons = int(Closed) + 1
)

var reasonNames = [reasons]string{
	"", "max_requests", "max_age", "max_memory", "idle_timeout", "request_timeout",
	"crashed", "probe_failed", "abandoned", "recycled", "closed",
}

func (r Reason) String() string { return reasonNames[r] }

// Reasons are all that a worker can have had for leaving.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := range Reason(reasons) {
		if r != NoReason {
			all = append(all, r)
		}
	}
	return all
}
