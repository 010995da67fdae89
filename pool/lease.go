package pool

import (
	"cmp"
	"context"
	"runtime"
	"time"
)

// Lease is a worker on loan to one request. The zero Lease is none. It is a
// value, so that leasing allocates nothing; a Lease that was released is void,
// and releasing it again does nothing.
type Lease struct {
	pool *Pool
	w    *worker
	id   uint64
}

// leaseLocked leases w, which is in no list, to a request.
func (p *Pool) leaseLocked(w *worker, info *Info, client *clientLimit, now time.Duration) Lease {
	p.moveLocked(w, Busy)
	w.leaseID++
	w.lease = leaseState{
		kind: requestLease, info: *info, since: now, timeout: p.settings.RequestTimeout,
		client: client, firstByte: -1,
	}
	if busy := p.inState[Busy] - p.internalLeases; busy > p.maxBusy {
		p.maxBusy = busy
	}
	return Lease{pool: p, w: w, id: w.leaseID}
}

// makeAvailableLocked gives a worker that is in no list to the first in line, or lays
// it down as idle.
func (p *Pool) makeAvailableLocked(w *worker, now time.Duration) {
	p.endLeaseLocked(w, now)
	if wt := p.queue.pop(); wt != nil {
		p.handOffLocked(w, wt, now)
		return
	}
	p.moveLocked(w, Idle)
	w.idleSince = now
	p.idle = append(p.idle, w)
}

// handOffLocked gives a worker that is in no list to a request that waits, and is
// in no line any more.
func (p *Pool) handOffLocked(w *worker, wt *waiter, now time.Duration) {
	wt.lease = p.leaseLocked(w, &wt.info, wt.client, now)
	wt.notify()
}

// detachClientLocked ends what a worker counts for its request's client.
func (p *Pool) detachClientLocked(w *worker) {
	client := w.lease.client
	w.lease.client = nil
	p.unreserveLocked(client)
}

// Release gives the worker back. It decides by itself whether the worker can
// serve again: only when its response was read to the end and nothing is left
// on the connection. Otherwise the worker drains or is replaced.
func (l Lease) Release() {
	p, w := l.pool, l.w
	if p == nil {
		return
	}
	p.mu.Lock()
	if w.leaseID != l.id || w.state != Busy {
		p.mu.Unlock()
		return
	}
	reusable := w.conn.Reusable() && !w.exited()
	if limit := p.settings.MaxMemory; limit > 0 && reusable {
		// Looked at outside the lock, and still under the lease.
		p.mu.Unlock()
		n, err := w.proc.Memory()
		p.mu.Lock()
		if err == nil && n > limit {
			// PHP tells the end of a request before it frees its memory.
			p.recordTimesLocked(w, p.clock())
			p.stopTimerLocked(w)
			w.lease.timer = nil
			w.leaseID++
			l.id = w.leaseID // whoever had the lease may release it again
			p.goLocked(func() { l.recheckMemory(limit) })
			p.mu.Unlock()
			return
		}
	}
	l.releaseLocked(reusable)
	lent := w.state == Busy
	p.mu.Unlock()
	if lent {
		// Whoever waited for the worker sends the request first, and then the
		// answer to the last one goes on its way: PHP, which has just finished
		// that, has often not fallen asleep yet. 16 clients with a script that
		// does nothing: 1.08 times the requests a second, 0.94 of the CPU.
		runtime.Gosched()
	}
}

// recheckMemory looks at a worker's memory once more when PHP is through with its
// request: only then does it answer a probe.
func (l Lease) recheckMemory(limit int64) {
	p, w := l.pool, l.w
	ctx, cancel := context.WithTimeout(p.root, healthCheckTimeout)
	defer cancel()
	err := w.gen.launcher.HealthCheck(ctx, w.conn)
	n, unknown := w.proc.Memory()
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.leaseID != l.id || w.state != Busy {
		return
	}
	if unknown == nil && n > limit {
		w.retireReason = cmp.Or(w.retireReason, MaxMemory)
	}
	l.finishLocked(err == nil && !w.exited(), p.clock())
}

// releaseLocked gives back a worker that is leased.
func (l Lease) releaseLocked(reusable bool) {
	now := l.pool.clock()
	l.pool.recordTimesLocked(l.w, now)
	l.finishLocked(reusable, now)
}

// finishLocked gives back a worker that is leased, and whose request's times have been recorded.
func (l Lease) finishLocked(reusable bool, now time.Duration) {
	p, w := l.pool, l.w
	w.leaseID++
	w.requests++
	p.requests++
	p.stopTimerLocked(w)
	switch {
	case reusable:
		p.resetFailuresLocked()
		p.recordSuccessLocked(w.lease.info.Script)
		p.returnLocked(w, now)
	case w.exited():
		p.removeLocked(w, cmp.Or(w.killReason, Crashed))
	case w.conn.Broken() || w.killReason != NoReason:
		if w.conn.StrayResponse() {
			w.lease.disown() // it is not this request's doing
		}
		reason := Crashed
		if w.conn.Aborted() {
			// Its client has left: no fault of the script, which whoever sends
			// half of what he announced could have put aside else.
			reason = Abandoned
		}
		p.killLocked(w, cmp.Or(w.killReason, reason))
	default:
		p.drainLocked(w)
	}
	p.checkDrainedLocked()
}

// returnLocked takes back a worker whose connection is ready for the next
// request, or retires it if its time has come.
func (p *Pool) returnLocked(w *worker, now time.Duration) {
	// Its watch has left its end to us, because it was busy, or draining; and a
	// signal that was sent meanwhile may have come too early to be heard.
	if w.exited() || w.killReason != NoReason {
		p.discardLocked(w, cmp.Or(w.killReason, Crashed))
		return
	}
	reason := cmp.Or(w.retireReason, p.exceededLocked(w, now))
	if p.closed {
		reason = cmp.Or(reason, Closed)
	}
	if excess := p.countsLocked().total() - p.settings.MaxWorkers; excess > 0 && excess > p.retiringLocked() {
		reason = cmp.Or(reason, Closed)
	}
	if reason != NoReason {
		p.stopLocked(w, reason)
		return
	}
	p.makeAvailableLocked(w, now)
}

// retiringLocked counts workers that go when their request ends. No other one is
// stopped in their stead: after a restart it would be one of the new generation,
// that has just been launched and warmed up.
func (p *Pool) retiringLocked() int {
	n := 0
	for _, w := range p.workers {
		if w.retireReason != NoReason && (w.state == Busy || w.state == Draining) {
			n++
		}
	}
	return n
}

// exceededLocked says which limit of its life a worker is over, if any.
func (p *Pool) exceededLocked(w *worker, now time.Duration) Reason {
	return p.settings.exceededBy(w.requests, w.maxRequests, now-w.started)
}

// discard gives up a worker on which nothing was sent: it is killed and
// replaced, and the request goes to another one.
func (l Lease) discard(reason Reason) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.w.leaseID == l.id && l.w.state == Busy {
		l.discardLocked(reason)
	}
}

func (l Lease) discardLocked(reason Reason) {
	p, w := l.pool, l.w
	w.leaseID++
	p.stopTimerLocked(w)
	w.lease.disown() // it is not this request's doing
	p.discardLocked(w, reason)
	p.checkDrainedLocked()
}
