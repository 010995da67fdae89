package pool

import "time"

// killDelay is how long PHP has for its shutdown functions after the soft end
// of a request, before its process is killed.
const killDelay = 2 * time.Second

// overtime ends a request that runs too long: first as PHP's own time limit
// would, then by killing the process.
type overtime struct {
	timer *time.Timer
	// late is set when the time was over, at is when it is or was.
	late bool
	at   time.Duration
}

// startOvertime sets the clock for the request that holds the lease.
func (l Lease) startOvertime() {
	p, w := l.pool, l.w
	limit := w.limit
	if limit <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o := &overtime{at: w.busySince + limit}
	w.overtime = o
	o.timer = time.AfterFunc(o.at-p.clock(), func() { p.expire(w, o) })
}

// stopOvertimeLocked: the request has ended. An expire that is under way will
// find the worker's state or clock changed.
func (p *Pool) stopOvertimeLocked(w *worker) {
	if o := w.overtime; o != nil {
		o.timer.Stop()
	}
}

// resumeOvertimeLocked lets the clock run on for a script whose client left.
func (p *Pool) resumeOvertimeLocked(w *worker) {
	o := w.overtime
	if o == nil {
		return
	}
	o.timer.Stop()
	next := &overtime{at: o.at, late: o.late}
	if o.late {
		next.at += killDelay
	}
	w.overtime = next
	next.timer = time.AfterFunc(max(0, next.at-p.clock()), func() { p.expire(w, next) })
}

// expire is called when the time of the request is over, and again killDelay
// later if it still runs. The signals are sent under the mutex (each is one
// system call that does not wait), so that they cannot hit the worker's next
// request.
func (p *Pool) expire(w *worker, o *overtime) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.overtime != o || w.state != Busy && w.state != Draining {
		return
	}
	if !o.late {
		o.late = true
		p.overtimes++
		if w.proc.SoftTimeout() == nil {
			o.timer.Reset(killDelay)
			return
		}
	}
	w.killed = RequestTimeout
	w.proc.Kill() //nolint:errcheck // it may have ended meanwhile
}

// late reports whether the request that holds the lease ran out of time.
func (l Lease) late() bool {
	if l.w.overtime == nil {
		return false // the common case; only the holder of the lease sets it
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return l.w.overtime.late
}
