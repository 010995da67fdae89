package pool

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// never is the delay of the maintenance loop if nothing is due.
const never = time.Duration(1<<63 - 1)

// tickInterval is the interval of the maintenance loop while something may become
// due soon: a slow request, or an idle worker above the minimum.
const tickInterval = time.Second

// maintain runs the pool's periodic work: it stops surplus workers, replaces
// expired ones, checks the health of idle ones, logs slow requests and retries
// failed launches. It sleeps until the next of these may be due.
func (p *Pool) maintain() {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for {
		select {
		case <-p.root.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		p.mu.Lock()
		if !p.closed {
			p.tickLocked(p.clock())
		}
		next := p.nextTickLocked(p.clock())
		p.mu.Unlock()
		timer.Reset(next)
	}
}

// tickLocked does one round of maintenance.
func (p *Pool) tickLocked(now time.Duration) {
	p.expireIdleLocked(now)
	for _, w := range p.workersLocked() {
		switch w.state {
		case Idle:
			p.tickIdleLocked(w, now)
		case Busy:
			p.logSlowLocked(w, now)
		case Draining:
			p.stopAbandonedLocked(w, now)
		case Starting, Stopping, Gone:
		}
	}
	p.retireIdleLocked(now)
	p.replaceHangingLocked(now)
	p.growLocked()
}

// expireIdleLocked stops surplus workers from the bottom of the idle stack, where
// those are that have been idle longest.
func (p *Pool) expireIdleLocked(now time.Duration) {
	c := p.countsLocked()
	surplus, spare, expendable := p.settings.surplus(c, 0), p.settings.aboveMaxSpare(c), p.settings.expendable(c)
	for n := 0; len(p.idle) > 0; n++ {
		idle, reason := now-p.idle[0].idleSince, IdleTimeout
		switch {
		case n < surplus && idle >= spareGrace:
			reason = Closed
		case n < spare && idle >= spareGrace, n < expendable && idle >= p.settings.IdleTimeout:
		default:
			return
		}
		p.stopLocked(p.idle[0], reason)
	}
}

// tickIdleLocked stops an idle worker that has reached a limit, and starts its
// health check when that is due.
func (p *Pool) tickIdleLocked(w *worker, now time.Duration) {
	if reason := p.exceededLocked(w, now); reason != NoReason {
		p.stopLocked(w, reason)
		return
	}
	every := p.settings.HealthInterval
	if every <= 0 || now-max(w.lastChecked, w.idleSince) < every {
		return
	}
	lease := p.borrowLocked(w)
	p.goLocked(func() { p.healthCheck(lease) })
}

// healthCheckTimeout limits a health check (FCGI_GET_VALUES), which an idle worker
// normally responds in 20 µs.
const healthCheckTimeout = 2 * time.Second

// healthCheck checks a worker that borrowLocked has leased.
func (p *Pool) healthCheck(l Lease) {
	ctx, cancel := context.WithTimeout(p.root, healthCheckTimeout)
	defer cancel()
	err := l.w.gen.launcher.HealthCheck(ctx, l.w.conn)
	if err != nil && p.root.Err() == nil {
		p.log.Warn("worker did not respond to the health check",
			zap.Uint64("worker", l.w.id), zap.Int("pid", l.w.proc.PID()), zap.Error(err))
	}
	if err != nil {
		l.returnBorrowed(Unresponsive)
		return
	}
	l.returnBorrowed(NoReason)
}

// returnInternalLocked makes a worker available again after a health check or a
// query. If no request waits, the worker returns to its former position in the
// idle list with its former idle time. Otherwise health checks would keep idle
// workers from ever expiring.
func (p *Pool) returnInternalLocked(w *worker) {
	since := w.idleSince
	p.returnLocked(w, p.clock())
	if w.state != Idle {
		return
	}
	p.unlistLocked(w)
	w.idleSince = since
	at, _ := slices.BinarySearchFunc(p.idle, since, func(other *worker, t time.Duration) int {
		return cmp.Compare(other.idleSince, t)
	})
	p.idle = slices.Insert(p.idle, at, w)
}

// abandonedGrace is how long a script may run on after its client has disconnected
// although requests wait for its worker. It is long, because the script may use
// ignore_user_abort on purpose, but it must not block the pool forever.
const abandonedGrace = 5 * time.Minute

// stopAbandonedLocked stops a script whose client has disconnected if requests
// wait for its worker: first softly, like RequestTimeout, then by killing it.
func (p *Pool) stopAbandonedLocked(w *worker, now time.Duration) {
	grace := abandonedGrace
	if w.lease.kind == internalLease {
		grace = 0 // it was a query of the pool's owner: requests come first
	}
	switch {
	case p.queue.len == 0 || now-w.drain.since < grace:
	case w.drain.softTimeoutAt == 0:
		w.drain.softTimeoutAt = now
		p.logLocked(p.log.Warn, "stopping a script whose client disconnected: requests wait for its worker",
			ifSet("script", w.lease.info.Script), zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
			zap.Duration("abandoned_for", now-w.drain.since))
		w.proc.SoftTimeout() //nolint:errcheck // on error the next tick kills it
	case now-w.drain.softTimeoutAt >= killDelay:
		w.killReason = Abandoned
		w.proc.Kill() //nolint:errcheck // it may have exited already
	}
}

// retireIdleLocked retires the current generation if it has had no workers for
// MasterIdleTimeout.
func (p *Pool) retireIdleLocked(now time.Duration) {
	g := p.gen
	if g == nil || g.inUse > 0 || p.settings.Minimum() > 0 || p.queue.len > 0 {
		return
	}
	if now-g.idleSince >= p.settings.MasterIdleTimeout {
		p.retireGenerationLocked(g)
	}
}

// nextTickLocked returns the time until the next tick may have something to do.
func (p *Pool) nextTickLocked(now time.Duration) time.Duration {
	next := never
	at := func(t time.Duration) { next = min(next, max(0, t-now)) }
	if p.closed {
		return next
	}
	if wait := p.failures.wait(time.Now()); wait > 0 {
		next = min(next, wait)
	}
	if since, replaceable := p.hangsSinceLocked(); replaceable {
		at(since + hangTimeout)
	}
	if len(p.workers) > 0 {
		next = min(next, p.settings.checkInterval())
	}
	c := p.countsLocked()
	if c.draining > 0 {
		next = min(next, tickInterval)
	}
	if c.busy > 0 && c.total() > p.settings.Minimum() {
		next = min(next, tickInterval) // each may be surplus when it is released
	}
	if len(p.idle) > 0 && (p.settings.aboveMaxSpare(c) > 0 || p.settings.surplus(c, 0) > 0) {
		at(p.idle[0].idleSince + spareGrace)
	}
	if len(p.idle) > 0 && p.settings.expendable(c) > 0 {
		at(p.idle[0].idleSince + p.settings.IdleTimeout)
	}
	if g := p.gen; g != nil && g.inUse == 0 && p.settings.Minimum() == 0 && p.queue.len == 0 {
		at(g.idleSince + p.settings.MasterIdleTimeout)
	}
	return next
}

// checkInterval returns how often workers must be checked, idle or busy. Acquire
// and Release do not wake the maintenance loop.
func (s *Settings) checkInterval() time.Duration {
	every := never
	if s.SlowRequest > 0 {
		every = min(every, max(s.SlowRequest/4, tickInterval))
	}
	if s.HealthInterval > 0 {
		every = min(every, max(s.HealthInterval/4, tickInterval))
	}
	if s.MaxAge > 0 {
		every = min(every, max(s.MaxAge/10, tickInterval))
	}
	return every
}
