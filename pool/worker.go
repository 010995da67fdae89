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

	// id counts the leases given; a lease of an earlier turn is void.
	leaseID uint64

	// Moments on the pool's clock (see Pool.clock).
	started, idleSince, busySince, lastChecked time.Duration

	requests    int
	maxRequests int // how many requests it may serve, 0 for no limit

	// last is the request that it ran before, and took how long that was; only
	// shown. busy is how long it has run requests in all, without the one that
	// runs. unbooked: a request has ended that is not in them yet.
	last                   Info
	lastDuration, busyTime time.Duration
	unrecorded             bool

	// client is what its request counts against, while it runs or drains; nil where
	// the client is not bounded.
	client *clientLimit

	// Of the request it runs; of the one that ended, or cleared where a death
	// must not be laid at its door.
	info       Info
	slowLogged bool
	// firstByte is how long its answer took to begin, -1 if none has: whoever
	// has the lease sets it. timed: its times have been counted.
	firstByte time.Duration
	timed     bool
	timer     *requestTimer
	limit     time.Duration // how long it may take, 0 for no limit
	internal  bool          // it is no request: the health probe, or a question of ours

	// Since when it drains, and when its script was asked to end (0: never).
	drainSince, softTimeoutAt time.Duration
}

// done reports whether the process is known to have ended.
func (w *worker) exited() bool {
	select {
	case <-w.proc.Done():
		return true
	default:
		return false
	}
}

// recordRequest takes the request that has ended into the worker's books.
func (w *worker) recordRequest(now time.Duration) {
	w.unrecorded = false
	w.last, w.lastDuration = w.info, now-w.busySince
	w.busyTime += w.lastDuration
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
