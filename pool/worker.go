package pool

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// worker is one process slot and one connection. The pool's mutex guards all
// fields. The holder of the lease may use conn and proc without it; they are
// replaced only while the worker drains.
type worker struct {
	id    uint64
	gen   *generation
	proc  Process
	conn  *fastcgi.Conn
	state State

	// reason is why the worker was stopped or drains.
	reason Reason
	// retireReason, if set, is why the worker is replaced when its request ends;
	// killReason is why it was killed during the request.
	retireReason, killReason Reason

	// launchSerial is the number of failures when it was launched, see failures.
	launchSerial uint64
	launchTime   time.Duration // how long the launch took

	// leaseID numbers the leases of the worker. A Lease with another number is void.
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

// leaseState is everything that belongs to one lease. It is cleared as a whole
// when the worker is available again, so that nothing of a request can reach the
// next one.
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
	// finishing is set when the response is complete, though the script still runs.
	finishing bool
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
	// softTimeoutAt is when SoftTimeout was called; 0 means not yet.
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

// exitReason returns why a worker is gone that was not told to stop: its process has
// exited, or its worker script has ended.
func (w *worker) exitReason() Reason {
	if _, ended := w.proc.ScriptEnd(); ended && w.exited() {
		return ScriptEnded
	}
	return Crashed
}

// endLeaseLocked ends the lease of a worker that can serve again.
func (p *Pool) endLeaseLocked(w *worker, now time.Duration) {
	if w.lease.kind == requestLease {
		w.last.info, w.last.duration = w.lease.info, now-w.lease.since
		w.busyTime += w.last.duration
	}
	client := w.lease.client
	w.lease = leaseState{}
	p.unreserveLocked(client)
}

// Info describes a request in logs and statistics. The pool itself uses only
// Script and URI (quarantine), Client (client limit) and MaxWait.
type Info struct {
	// Method and URI are as the client sent them; URI has no query.
	Method, URI string
	// Query is the query string. It may contain secrets: it is never logged, and the
	// status shows it only if the administrator enables that.
	Query string
	// User is the authenticated user, if any.
	User string
	// ContentLength is the length of the body in bytes.
	ContentLength int64
	// Script is the path of the PHP file.
	Script string
	// MaxWait limits the time in the queue if it is shorter than QueueTimeout; 0 means
	// no additional limit.
	MaxWait time.Duration
	// Client is the address that the request counts for under MaxPerClient. Its zero
	// value is not limited.
	Client netip.Addr

	crashed bool // it has crashed a worker before; see Pool.Do
}

// ShownURI returns the URI, followed by the query if full is true.
func (i *Info) ShownURI(full bool) string {
	if full && i.Query != "" {
		return i.URI + "?" + i.Query
	}
	return i.URI
}

// State says whether a worker can get a request. The Reason says why it is
// stopped.
type State uint8

// The states of a worker. The package documentation has a diagram of them.
const (
	// Starting means that it is being launched. It counts toward the maximum.
	Starting State = iota
	// Idle means that it is connected and waits for a request.
	Idle
	// Busy means that it is leased.
	Busy
	// Draining means that the client disconnected and PHP still runs. The slot is
	// occupied.
	Draining
	// Stopping means that it is exiting and gets no more requests.
	Stopping
	// Gone means that the process has exited.
	Gone

	states = int(Gone) + 1
)

var stateNames = [states]string{"starting", "idle", "busy", "draining", "stopping", "gone"}

func (s State) String() string { return stateNames[s] }

// moves lists the allowed transitions.
var moves = [states][]State{
	Starting: {Idle, Busy, Stopping, Gone},
	Idle:     {Busy, Stopping, Gone},
	Busy:     {Idle, Busy, Draining, Stopping, Gone},
	Draining: {Idle, Busy, Stopping, Gone},
	Stopping: {Gone},
	Gone:     {},
}

// checkMove panics if the transition is not allowed: that is a bug in this package.
func checkMove(from, to State) {
	if !slices.Contains(moves[from], to) {
		panic(fmt.Sprintf("bug: worker cannot go from %v to %v", from, to))
	}
}

// moveLocked changes the state of a worker. Nothing else does.
func (p *Pool) moveLocked(w *worker, to State) {
	checkMove(w.state, to)
	from := w.state
	p.inState[w.state]--
	p.inState[to]++
	w.state = to
	if to == Stopping || to == Gone {
		p.detachClientLocked(w)
		p.total.moved(from, to)
	}
}

// unlistLocked removes a worker from the idle list.
func (p *Pool) unlistLocked(w *worker) {
	for i, other := range p.idle {
		if other == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

// Reason says why a worker was stopped, or why it drains.
type Reason uint8

// The reasons, in the order of their names in logs, status and metrics.
const (
	// NoReason means that it is neither stopped nor draining.
	NoReason Reason = iota
	// MaxRequests means that it has served Limits.MaxRequests requests.
	MaxRequests
	// MaxAge means that it is older than Limits.MaxAge.
	MaxAge
	// MaxMemory means that it uses more memory than Limits.MaxMemory.
	MaxMemory
	// IdleTimeout means that it was idle for Size.IdleTimeout.
	IdleTimeout
	// RequestTimeout means that its request exceeded the timeout and it was killed.
	RequestTimeout
	// Crashed means that the process exited unexpectedly or violated the protocol.
	Crashed
	// Unresponsive means that it did not respond to a health check or a query.
	Unresponsive
	// Abandoned means that its client disconnected and the process could not be reused.
	Abandoned
	// Recycled means that an administrator replaced it, or a new generation did.
	Recycled
	// Closed means that the pool was closed or became smaller.
	Closed
	// ScriptEnded means that the worker script has ended by itself: it returned, called
	// exit, or had a fatal error.
	ScriptEnded
	// BootFailed means that the worker script failed before it was ready. It is only
	// counted: there was no worker yet.
	BootFailed
	// LeftGroup means that a script had moved it to another process group.
	LeftGroup

	reasons = int(LeftGroup) + 1
)

var reasonNames = [reasons]string{
	"", "max_requests", "max_age", "max_memory", "idle_timeout", "request_timeout",
	"crashed", "unresponsive", "abandoned", "recycled", "closed", "script_ended", "boot_failed", "left_group",
}

func (r Reason) String() string { return reasonNames[r] }

// Reasons returns all reasons why a worker can be stopped.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := range Reason(reasons) {
		if r != NoReason {
			all = append(all, r)
		}
	}
	return all
}
