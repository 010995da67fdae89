package pool

import (
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
func (p *Pool) Query(worker uint64, r *fastcgi.Request, take func(*http.Response) error) (QueryInfo, error) {
	for {
		lease, err := p.borrow(worker)
		if err != nil {
			return QueryInfo{}, err
		}
		w := lease.w
		if w.conn.Check() != nil {
			lease.returnUnused(Crashed) // it was lost before we asked
			continue
		}
		asked := QueryInfo{Worker: w.id, PID: w.proc.PID(), Generation: w.gen.number}
		refused, err := lease.query(r, take)
		if err != nil {
			lease.queryFailed(err)
			return asked, err
		}
		lease.returnUnused(NoReason)
		return asked, refused
	}
}

// queryFailed gives up a worker that did not answer a question.
func (l Lease) queryFailed(err error) {
	p, w := l.pool, l.w
	lost := ProbeFailed
	if w.ended() {
		lost = Crashed
	}
	if p.root.Err() == nil {
		p.log.Warn("a worker did not answer a question", zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
			zap.Stringer("reason", lost), zap.Error(err))
	}
	l.returnUnused(lost)
}

// query has the worker answer. refused is what take thought of that, err says
// that the worker is of no use any more.
func (l Lease) query(r *fastcgi.Request, take func(*http.Response) error) (refused, err error) {
	ctx, cancel := context.WithTimeoutCause(l.pool.root, queryTimeout, errNoAnswer)
	defer cancel()
	resp, err := l.w.conn.RoundTrip(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // the connection knows how it ended
	refused = take(resp)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if !l.w.conn.Reusable() || l.w.ended() {
		return nil, errors.New("its connection is of no use any more")
	}
	return refused, nil
}

var errNoAnswer = errors.New("no answer within " + queryTimeout.String())

// borrow takes an idle worker for a question.
func (p *Pool) borrow(id uint64) (Lease, error) {
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
	w.turn++
	now := p.clock()
	w.busySince, w.probed, w.info, w.timer = now, now, Info{}, nil
	w.slowLogged, w.internal = true, true
	p.probing++
	return Lease{pool: p, w: w, turn: w.turn}
}

// returnUnused ends what borrowLocked began: the worker is idle again, or is lost
// for that reason.
func (l Lease) returnUnused(lost Reason) {
	p, w := l.pool, l.w
	p.mu.Lock()
	w.internal = false
	p.probing--
	if lost != NoReason {
		lost = or(w.killReason, lost)
		p.mu.Unlock()
		l.discard(lost)
		return
	}
	defer p.mu.Unlock()
	if w.turn == l.turn && w.state == Busy {
		w.turn++
		p.healthCheckedLocked(w)
		p.drainedLocked()
		p.wakeLocked() // its time may have come meanwhile
	}
}
