package pool

import "time"

// killDelay is how long PHP may run shutdown functions after the soft timeout,
// before the process is killed.
const killDelay = 2 * time.Second

// requestTimer stops a request that runs too long: first the way PHP's own time
// limit does, and killDelay later by killing the process.
type requestTimer struct {
	timer *time.Timer
	// expired is set once the timeout has passed, at deadline.
	expired  bool
	deadline time.Duration
}

// startTimer starts the timeout of the request that holds the lease.
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

// stopTimerLocked stops the timeout of a request that has ended. If onExpire runs
// already, it will see that the lease or the state has changed.
func (p *Pool) stopTimerLocked(w *worker) {
	if t := w.lease.timer; t != nil {
		t.timer.Stop()
	}
}

// resumeTimerLocked continues the timeout for a script whose client disconnected.
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

// onExpire runs when the timeout has passed, and again killDelay later if the
// request still runs. It signals the process with the mutex held, so that the
// signal cannot hit the worker's next request; each signal is one system call
// that does not block.
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
	w.proc.Kill() //nolint:errcheck // it may have exited already
}

// timedOut reports whether the request that holds the lease exceeded its timeout.
func (l Lease) timedOut() bool {
	if l.w.lease.timer == nil {
		return false // the common case. No lock: only the holder of the lease sets it
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return l.w.lease.timer.expired
}
