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

// QueryInfo tells which worker has answered a question.
type QueryInfo struct {
	Worker     uint64
	PID        int
	Generation int
}

// queryTimeout is how long a worker may take to answer a question: it had
// nothing else to do, and the answer takes it less than a millisecond.
const queryTimeout = 2 * time.Second

// Query sends a question of our own to an idle worker, and gives the answer to
// take. The worker is the one with that id, or for 0 the one used last.
//
// It never waits for a worker nor launches one: ErrBusy if none is idle,
// ErrNoWorkers if there is none at all. A question is no request: nothing is
// counted, and the worker is as old and as long idle as before. Until it has
// answered it is as good as idle, as with the health probe, and who needs a
// worker meanwhile waits for that moment. One that does not answer within
// queryTimeout is replaced as by the probe.
//
// An error of take is returned as it is; the worker stays.
func (p *Pool) Query(worker uint64, r *fastcgi.Request, read func(*http.Response) error) (QueryInfo, error) {
	for {
		lease, err := p.borrowIdle(worker)
		if err != nil {
			return QueryInfo{}, err
		}
		w := lease.w
		if w.conn.Check() != nil {
			lease.returnBorrowed(Crashed) // it was lost before we asked
			continue
		}
		info := QueryInfo{Worker: w.id, PID: w.proc.PID(), Generation: w.gen.number}
		readErr, err := lease.query(r, read)
		if err != nil {
			lease.discardUnresponsive(err)
			return info, err
		}
		lease.returnBorrowed(NoReason)
		return info, readErr
	}
}

// discardUnresponsive gives up a worker that did not answer a question.
func (l Lease) discardUnresponsive(err error) {
	p, w := l.pool, l.w
	reason := ProbeFailed
	if w.exited() {
		reason = Crashed
	}
	if p.root.Err() == nil {
		p.log.Warn("a worker did not answer a question", zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
			zap.Stringer("reason", reason), zap.Error(err))
	}
	l.returnBorrowed(reason)
}

// query has the worker answer. refused is what take thought of that, err says
// that the worker is of no use any more.
func (l Lease) query(r *fastcgi.Request, read func(*http.Response) error) (readErr, err error) {
	ctx, cancel := context.WithTimeoutCause(l.pool.root, queryTimeout, errQueryTimeout)
	defer cancel()
	resp, err := l.w.conn.RoundTrip(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // the connection knows how it ended
	readErr = read(resp)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if !l.w.conn.Reusable() || l.w.exited() {
		return nil, errors.New("its connection is of no use any more")
	}
	return readErr, nil
}

var errQueryTimeout = errors.New("no answer within " + queryTimeout.String())

// borrowIdle takes an idle worker for a question.
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

// borrowLocked makes an idle worker busy with what is no request: a question
// of ours, or the health probe. Unlike leaseLocked it lets idleSince stand.
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

// returnBorrowed ends what borrowLocked began: the worker is idle again, or is lost
// for that reason.
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
		p.wakeLocked() // its time may have come meanwhile
	}
}
