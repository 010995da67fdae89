package pool

import (
	"fmt"
	"net/netip"
	"slices"
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
	// retireReason marks a worker that has to go when its request ends; killed one
	// that was killed in its request, and why.
	retireReason, killReason Reason

	// leaseID numbers the leases of the worker: a Lease with another number is void.
	leaseID uint64
	lease   leaseState

	// Points in time on the pool's clock (see Pool.clock).
	started, idleSince, lastChecked time.Duration

	requests    int // served by this process
	maxRequests int // when to replace it; 0 means no limit

	// last is the previous request, busyTime the duration of all previous ones.
	// Both are for statistics only.
	last     finishedRequest
	busyTime time.Duration

	drain drainState
}

// leaseState is everything that belongs to one lease. It is replaced as a whole
// when the worker is leased and when it is available again, so that nothing of
// a request can reach the next one.
type leaseState struct {
	kind  leaseKind
	info  Info
	since time.Duration // on the pool's clock
	// timeout is the RequestTimeout of the request, 0 for none; timer enforces it.
	timeout time.Duration
	timer   *requestTimer
	// client counts the request until the worker is available again; nil where
	// the client is not limited.
	client *clientLimit
	// firstByte is the time from the lease to the response header, -1 before
	// that. The holder of the lease writes it.
	firstByte  time.Duration
	slowLogged bool
}

// leaseKind says what a worker is leased for.
type leaseKind uint8

const (
	notLeased leaseKind = iota
	// requestLease is for a request.
	requestLease
	// internalLease is for a health check or a query. It is not counted.
	internalLease
)

// disown forgets the request, so that a crash of the worker is not attributed
// to it. The client stays until the worker is available again or has left.
func (l *leaseState) disown() { *l = leaseState{kind: notLeased, client: l.client} }

// finishedRequest is a request that the worker has completed.
type finishedRequest struct {
	info     Info
	duration time.Duration
}

// drainState belongs to one drain of a worker.
type drainState struct {
	since time.Duration
	// softTimeoutAt is when the script was told to stop; 0 means not yet.
	softTimeoutAt time.Duration
}

// exited reports whether the process is known to have exited.
func (w *worker) exited() bool {
	select {
	case <-w.proc.Done():
		return true
	default:
		return false
	}
}

// endLeaseLocked ends the lease of a worker that can serve again.
func (p *Pool) endLeaseLocked(w *worker, now time.Duration) {
	if w.lease.kind == requestLease {
		w.last = finishedRequest{info: w.lease.info, duration: now - w.lease.since}
		w.busyTime += w.last.duration
	}
	client := w.lease.client
	w.lease = leaseState{}
	p.unreserveLocked(client)
}

// Info says what a request is, for logs and statistics; nothing is decided by
// it but the quarantine of a script and the share of a client.
type Info struct {
	// Method and URI as the client sent them, the URI without its query.
	Method, URI string
	// Query is that query. It may hold what is nobody's business: it is shown
	// only where an administrator asks for it, and never logged.
	Query string
	// User is who logged in to the web server, if anybody did.
	User string
	// ContentLength is how long the body is, in bytes.
	ContentLength int64
	// Script is the file that PHP runs.
	Script string
	// MaxWait bounds the wait in line where it is shorter than the pool's
	// QueueTimeout; 0 does not.
	MaxWait time.Duration
	// Client is whom the request counts for where MaxPerClient bounds that;
	// its zero value is for nobody.
	Client netip.Addr
}

// ShownURI is the URI, with its query only where that is asked for.
func (i *Info) ShownURI(full bool) string {
	if full && i.Query != "" {
		return i.URI + "?" + i.Query
	}
	return i.URI
}

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

// moveLocked is the only way in which a worker changes its state.
func (p *Pool) moveLocked(w *worker, to State) {
	checkMove(w.state, to)
	p.inState[w.state]--
	p.inState[to]++
	w.state = to
	if to == Stopping || to == Gone {
		p.detachClientLocked(w)
	}
}

// unlistLocked takes an idle worker out of the list of idle ones.
func (p *Pool) unlistLocked(w *worker) {
	for i, other := range p.idle {
		if other == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
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
