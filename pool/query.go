package pool

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// QueryInfo identifies the worker that responded to a query.
type QueryInfo struct {
	Worker     uint64
	PID        int
	Generation int
}

// queryTimeout limits how long a worker may take for a query. It was idle, so it
// normally takes less than a millisecond.
const queryTimeout = 2 * time.Second

// Query sends a request of the pool's owner (for example for the state of the
// OPcache) to an idle worker and calls read with the response. worker is the ID of
// a worker; 0 means the one that became idle last.
//
// Query never waits for a worker and never launches one. It returns [ErrBusy] if
// no worker (or not that one) is idle, [ErrNoWorkers] if the pool has none, and
// [ErrNoWorker] if the ID is unknown. A query does not count as a request and does
// not change the age or the idle time of the worker, which is reported as idle
// meanwhile. A request that needs the worker waits for it. If the worker does not
// respond within queryTimeout it drains, as if a client had disconnected, because
// PHP may be paused by a debugger; it is stopped only if requests wait for it.
//
// An error of read is returned unchanged; the worker stays.
func (p *Pool) Query(worker uint64, r *fastcgi.Request, read func(*http.Response) error) (QueryInfo, error) {
	for {
		lease, err := p.borrowIdle(worker)
		if err != nil {
			return QueryInfo{}, err
		}
		w := lease.w
		if w.conn.Check() != nil {
			lease.returnBorrowed(Crashed) // it was broken before the query
			continue
		}
		info := QueryInfo{Worker: w.id, PID: w.proc.PID(), Generation: w.gen.number}
		readErr, err := lease.query(r, read)
		if err != nil {
			lease.endUnresponsive(err)
			return info, err
		}
		lease.returnBorrowed(NoReason)
		return info, readErr
	}
}

// endUnresponsive ends the lease of a worker that did not respond to a query: the worker
// is replaced if it has exited, and drains if it still runs.
func (l Lease) endUnresponsive(err error) {
	p, w := l.pool, l.w
	exited := w.exited() || errors.Is(err, io.ErrUnexpectedEOF) && exitsWithin(w.proc, deathGrace)
	if p.root.Err() == nil {
		p.log.Warn("worker did not respond to a query", zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()), zap.Error(err))
	}
	if exited {
		l.returnBorrowed(Crashed)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.internalLeases--
	if w.leaseID == l.id && w.state == Busy {
		w.leaseID++
		p.drainLocked(w)
		p.checkDrainedLocked()
	}
}

// query sends the request. readErr is the error of read; err means that the worker
// cannot be used any more.
func (l Lease) query(r *fastcgi.Request, read func(*http.Response) error) (readErr, err error) {
	ctx, cancel := context.WithTimeoutCause(l.pool.root, queryTimeout, errQueryTimeout)
	defer cancel()
	resp, err := l.w.conn.RoundTrip(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // Reusable checks below how it ended
	readErr = read(resp)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if !l.w.conn.Reusable() || l.w.exited() {
		return nil, errors.New("connection cannot be reused after the query")
	}
	return readErr, nil
}

var errQueryTimeout = errors.New("no response within " + queryTimeout.String())

// borrowIdle leases an idle worker for a query.
func (p *Pool) borrowIdle(id uint64) (Lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return Lease{}, ErrClosed
	case len(p.workers) == 0:
		return Lease{}, ErrNoWorkers
	case id == 0 && len(p.idle) > 0:
		return p.borrowLocked(p.idle[len(p.idle)-1]), nil
	case id == 0:
		return Lease{}, ErrBusy
	}
	w := p.workers[id]
	switch {
	case w == nil:
		return Lease{}, ErrNoWorker
	case w.state != Idle:
		return Lease{}, ErrBusy
	}
	return p.borrowLocked(w), nil
}

// borrowLocked leases an idle worker for a query or a health check. Unlike
// leaseLocked it does not change idleSince.
func (p *Pool) borrowLocked(w *worker) Lease {
	p.unlistLocked(w)
	p.moveLocked(w, Busy)
	w.leaseID++
	now := p.clock()
	w.lastChecked = now
	w.lease = leaseState{kind: internalLease, since: now}
	p.internalLeases++
	return Lease{pool: p, w: w, id: w.leaseID}
}

// returnBorrowed ends the lease of borrowLocked: the worker is idle again, or is
// replaced if reason is set.
func (l Lease) returnBorrowed(reason Reason) {
	p, w := l.pool, l.w
	p.mu.Lock()
	defer p.mu.Unlock()
	p.internalLeases--
	switch {
	case w.leaseID != l.id || w.state != Busy:
	case reason != NoReason:
		l.discardLocked(cmp.Or(w.killReason, reason))
	default:
		w.leaseID++
		p.returnInternalLocked(w)
		p.checkDrainedLocked()
		p.wakeLocked() // it may have reached a limit meanwhile
	}
}
