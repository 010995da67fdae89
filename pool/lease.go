package pool

import (
	"cmp"
	"context"
	"runtime"
	"time"

	"go.uber.org/zap"
)

// Lease is a worker held by one request. It is a value so that acquiring one does
// not allocate. Release is idempotent; the zero Lease is valid and does nothing.
type Lease struct {
	pool *Pool
	w    *worker
	id   uint64
}

// leaseLocked leases w, which must be in no list, to a request.
func (p *Pool) leaseLocked(w *worker, info *Info, client *clientLimit, now time.Duration) Lease {
	p.moveLocked(w, Busy)
	w.leaseID++
	// The lease is zero here. Filling it in place avoids two copies.
	l := &w.lease
	l.kind, l.info, l.since = requestLease, *info, now
	l.timeout, l.client, l.firstByte = p.settings.RequestTimeout, client, -1
	if busy := p.inState[Busy] - p.internalLeases; busy > p.maxBusy {
		p.maxBusy = busy
	}
	return Lease{pool: p, w: w, id: w.leaseID}
}

// makeAvailableLocked hands a worker that is in no list to the request that has
// waited longest, or pushes it onto the idle stack. One that would outlive this process
// is stopped instead; looking for that costs a system call, so it is done only when no
// request waits.
func (p *Pool) makeAvailableLocked(w *worker, now time.Duration) {
	p.endLeaseLocked(w, now)
	if wt := p.queue.pop(); wt != nil {
		p.handOffLocked(w, wt, now)
		if p.limited {
			p.growLocked() // fewer requests wait: another pool may have its turn
		}
		return
	}
	if w.proc.LeftGroup() {
		p.logLocked(p.log.Warn, "a script has moved its worker to another process group: replacing the worker",
			ifSet("script", w.last.info.Script), zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()))
		p.stopLocked(w, LeftGroup)
		return
	}
	p.moveLocked(w, Idle)
	w.idleSince = now
	p.idle = append(p.idle, w)
}

// handOffLocked leases a worker that is in no list to a request that has been
// removed from its queue.
func (p *Pool) handOffLocked(w *worker, wt *waiter, now time.Duration) {
	wt.lease = p.leaseLocked(w, &wt.info, wt.client, now)
	wt.notify()
}

// detachClientLocked stops counting the worker for its request's client.
func (p *Pool) detachClientLocked(w *worker) {
	client := w.lease.client
	w.lease.client = nil
	p.unreserveLocked(client)
}

// Release returns the worker to the pool. The worker serves again only if its
// response was read to the end and nothing is left on the connection. Otherwise
// it drains or is replaced.
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
		// Read /proc without the mutex. The worker is still leased.
		p.mu.Unlock()
		n, err := w.proc.Memory()
		p.mu.Lock()
		if err == nil && n > limit {
			// PHP ends the request before it frees the request's memory: check again.
			p.recordTimesLocked(w, p.clock())
			p.stopTimerLocked(w)
			w.lease.timer = nil
			w.leaseID++
			l.id = w.leaseID // the caller may call Release again
			p.goLocked(func() { l.recheckMemory(limit) })
			p.mu.Unlock()
			return
		}
	}
	l.releaseLocked(reusable)
	handedOff := w.state == Busy
	p.mu.Unlock()
	if handedOff {
		// Yield so that the request that got this worker is sent before the caller
		// writes its response: PHP is often still running then, which saves a wakeup
		// (16 clients with an empty script: 8 % more requests/s, 6 % less CPU time).
		runtime.Gosched()
	}
}

// recheckMemory reads the memory of a worker again after PHP has finished its
// request: only then does it respond to a health check.
func (l Lease) recheckMemory(limit int64) {
	p, w := l.pool, l.w
	ctx, cancel := context.WithTimeout(p.root, healthCheckTimeout)
	defer cancel()
	err := w.gen.launcher.HealthCheck(ctx, w.conn)
	n, memErr := w.proc.Memory()
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.leaseID != l.id || w.state != Busy {
		return
	}
	if memErr == nil && n > limit {
		w.retireReason = cmp.Or(w.retireReason, MaxMemory)
	}
	l.finishLocked(err == nil && !w.exited(), p.clock())
}

// releaseLocked ends the lease of a request.
func (l Lease) releaseLocked(reusable bool) {
	now := l.pool.clock()
	l.pool.recordTimesLocked(l.w, now)
	l.finishLocked(reusable, now)
}

// finishLocked is releaseLocked without recording the times of the request.
func (l Lease) finishLocked(reusable bool, now time.Duration) {
	p, w := l.pool, l.w
	w.leaseID++
	w.requests++
	p.requests++
	p.stopTimerLocked(w)
	switch {
	case reusable:
		p.resetFailuresLocked(w.launchSerial)
		p.recordSuccessLocked(&w.lease.info)
		p.returnLocked(w, now)
	case w.exited():
		p.removeLocked(w, cmp.Or(w.killReason, w.exitReason()))
	case w.conn.Broken() || w.killReason != NoReason:
		if w.conn.StrayResponse() {
			w.lease.disown() // the data was not written for this request
		}
		reason := Crashed
		if w.conn.Aborted() {
			// The client disconnected while sending the body. This is not a crash:
			// otherwise anyone could get a script quarantined by sending truncated bodies.
			reason = Abandoned
		}
		p.killLocked(w, cmp.Or(w.killReason, reason))
	default:
		p.drainLocked(w)
	}
	p.checkDrainedLocked()
}

// returnLocked makes a worker whose connection is ready for the next request
// available, or stops it if it is to be replaced.
func (p *Pool) returnLocked(w *worker, now time.Duration) {
	// The process may have exited, or been signaled, while it was busy or draining;
	// watch leaves both cases to us. A signal may have been sent before the process
	// could handle it.
	if w.exited() || w.killReason != NoReason {
		p.discardLocked(w, cmp.Or(w.killReason, w.exitReason()))
		return
	}
	reason := cmp.Or(w.retireReason, p.exceededLocked(w, now))
	if p.closed {
		reason = cmp.Or(reason, Closed)
	}
	if excess := p.countsLocked().total() - p.settings.MaxWorkers; excess > 0 && excess > p.retiringLocked() {
		reason = cmp.Or(reason, Closed)
	}
	if reason == NoReason && p.mustGiveUpLocked() {
		reason = Closed
	}
	if reason != NoReason {
		p.stopLocked(w, reason)
		return
	}
	p.makeAvailableLocked(w, now)
}

// retiringLocked counts the workers that stop when their request ends. They count
// as gone when the pool is too large: otherwise a restart would stop workers of
// the new generation instead, which have just been launched and warmed up.
func (p *Pool) retiringLocked() int {
	n := 0
	for _, w := range p.workers {
		if w.retireReason != NoReason && (w.state == Busy || w.state == Draining) {
			n++
		}
	}
	return n
}

// exceededLocked returns the limit that the worker exceeds, or NoReason. A worker
// is not stopped as long as none can be launched in its place; nor, if it runs a worker
// script, while a quarter of the workers are being replaced.
func (p *Pool) exceededLocked(w *worker, now time.Duration) Reason {
	if w.gen.failed && !w.gen.retired || p.failures.err != nil && p.settings.missing(p.countsLocked()) > 0 {
		return NoReason
	}
	reason := p.settings.exceededBy(w.requests, w.maxRequests, now-w.started)
	if reason != NoReason && p.settings.Boots && p.replacedLocked() >= max(1, (p.replacedLocked()+p.inState[Idle]+p.inState[Busy]+p.inState[Draining])/4) {
		return NoReason // later: an application may take seconds to start
	}
	return reason
}

// replacedLocked returns how many workers are stopping or being launched.
func (p *Pool) replacedLocked() int { return p.starting + p.inState[Stopping] }

// discard kills and replaces a leased worker on which nothing was sent. The
// request is to use another one.
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
	w.lease.disown() // nothing was sent
	p.discardLocked(w, reason)
	p.checkDrainedLocked()
}
