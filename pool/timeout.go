package pool

import "time"

// killDelay is how long PHP has for its shutdown functions after the soft end
// of a request, before its process is killed.
const killDelay = 2 * time.Second

// timer ends a request that runs too long: first as PHP's own time limit
// would, then by killing the process.
type requestTimer struct {
	timer *time.Timer
	// timedOut is set when the time was over, at is when it is or was.
	expired  bool
	deadline time.Duration
}

// startTimer sets the clock for the request that holds the lease.
func (l Lease) startTimer() {
	p, w := l.pool, l.w
	if w.lease.timeout <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &requestTimer{deadline: w.lease.since + w.lease.timeout}
	w.lease.timer = t
	t.timer = time.AfterFunc(t.deadline-p.clock(), func() { p.onExpire(w, t) })
}

// stopTimerLocked: the request has ended. An expire that is under way will
// find the worker's state or clock changed.
func (p *Pool) stopTimerLocked(w *worker) {
	if t := w.lease.timer; t != nil {
		t.timer.Stop()
	}
}

// resumeTimerLocked lets the clock run on for a script whose client left.
func (p *Pool) resumeTimerLocked(w *worker) {
	t := w.lease.timer
	if t == nil {
		return
	}
	t.timer.Stop()
	next := &requestTimer{deadline: t.deadline, expired: t.expired}
	if t.expired {
		next.deadline += killDelay
	}
	w.lease.timer = next
	next.timer = time.AfterFunc(max(0, next.deadline-p.clock()), func() { p.onExpire(w, next) })
}

// onExpire is called when the time of the request is over, and again killDelay
// later if it still runs. The signals are sent under the mutex (each is one
// system call that does not wait), so that they cannot hit the worker's next
// request.
func (p *Pool) onExpire(w *worker, t *requestTimer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.lease.timer != t || w.state != Busy && w.state != Draining {
		return
	}
	if !t.expired {
		t.expired = true
		p.timedOut++
		if w.proc.SoftTimeout() == nil {
			t.timer.Reset(killDelay)
			return
		}
	}
	w.killReason = RequestTimeout
	w.proc.Kill() //nolint:errcheck // it may have ended meanwhile
}

// timedOut reports whether the request that holds the lease ran out of time.
func (l Lease) timedOut() bool {
	if l.w.lease.timer == nil {
		return false // the common case; only the holder of the lease sets it
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return l.w.lease.timer.expired
}
