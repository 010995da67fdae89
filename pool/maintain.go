package pool

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// never is when the maintenance loop has nothing to do.
const never = time.Duration(1<<63 - 1)

// tickInterval is how often workers are looked at while there is something to see:
// a request that may turn slow, an idle worker above the floor.
const tickInterval = time.Second

// maintain does what nobody asks for: it shrinks the pool, replaces workers
// that got old, probes idle ones, tells of slow requests and tries again after
// a failed launch. It sleeps for as long as nothing of that can happen.
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

// tickLocked is one round.
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
	p.growLocked()
}

// expireIdleLocked shrinks the pool from the tail of the idle list: the worker
// that was used least lately stands first.
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

// tickIdleLocked retires an idle worker that got too old, and probes it when
// that is due.
func (p *Pool) tickIdleLocked(w *worker, now time.Duration) {
	if reason := p.settings.exceededBy(w.requests, w.maxRequests, now-w.started); reason != NoReason {
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

// healthCheckTimeout is how long an idle worker may take to answer GET_VALUES, which
// takes it 20 microseconds.
const healthCheckTimeout = 2 * time.Second

// healthCheck asks a worker, leased for that purpose, whether it lives.
func (p *Pool) healthCheck(l Lease) {
	ctx, cancel := context.WithTimeout(p.root, healthCheckTimeout)
	defer cancel()
	err := l.w.gen.launcher.HealthCheck(ctx, l.w.conn)
	if err != nil && p.root.Err() == nil {
		p.log.Warn("a worker did not answer the health probe",
			zap.Uint64("worker", l.w.id), zap.Int("pid", l.w.proc.PID()), zap.Error(err))
	}
	if err != nil {
		l.returnBorrowed(ProbeFailed)
		return
	}
	l.returnBorrowed(NoReason)
}

// returnInternalLocked takes back a worker that has answered the probe. With nobody in
// line it goes where it was among the idle ones, as old as it was, or a pool
// that is probed would never shrink.
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

// abandonedGrace is how long a script whose client has left may run on although
// requests wait for its worker. It is long, because the script may do what
// ignore_user_abort is for; but it may not block the pool for ever.
const abandonedGrace = 5 * time.Minute

// stopAbandonedLocked ends a script that nobody waits for any more, when its
// worker is what others wait for: softly first, as request_timeout does.
func (p *Pool) stopAbandonedLocked(w *worker, now time.Duration) {
	switch {
	case p.queue.len == 0 || now-w.drain.since < abandonedGrace:
	case w.drain.softTimeoutAt == 0:
		w.drain.softTimeoutAt = now
		p.logLocked(p.log.Warn, "ending a script whose client has left, because requests wait for its worker",
			zap.String("script", w.lease.info.Script), zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
			zap.Duration("abandoned_for", now-w.drain.since))
		w.proc.SoftTimeout() //nolint:errcheck // if it cannot, it is killed next
	case now-w.drain.softTimeoutAt >= killDelay:
		w.killReason = Abandoned
		w.proc.Kill() //nolint:errcheck // it may have ended meanwhile
	}
}

// retireIdleLocked ends a generation that has had no worker for long enough.
func (p *Pool) retireIdleLocked(now time.Duration) {
	g := p.gen
	if g == nil || g.inUse > 0 || p.settings.floor() > 0 || p.queue.len > 0 {
		return
	}
	if now-g.idleSince >= p.settings.MasterIdleTimeout {
		p.retireGenerationLocked(g)
	}
}

// nextTickLocked is in how long tickLocked has something to do.
func (p *Pool) nextTickLocked(now time.Duration) time.Duration {
	next := never
	at := func(t time.Duration) { next = min(next, max(0, t-now)) }
	if p.closed {
		return next
	}
	if wait := p.failures.wait(time.Now()); wait > 0 {
		next = min(next, wait)
	}
	if len(p.workers) > 0 {
		next = min(next, p.settings.checkInterval())
	}
	c := p.countsLocked()
	if c.draining > 0 {
		next = min(next, tickInterval)
	}
	if c.busy > 0 && c.total() > p.settings.floor() {
		next = min(next, tickInterval) // any of them may become one too many
	}
	if len(p.idle) > 0 && (p.settings.aboveMaxSpare(c) > 0 || p.settings.surplus(c, 0) > 0) {
		at(p.idle[0].idleSince + spareGrace)
	}
	if len(p.idle) > 0 && p.settings.expendable(c) > 0 {
		at(p.idle[0].idleSince + p.settings.IdleTimeout)
	}
	if g := p.gen; g != nil && g.inUse == 0 && p.settings.floor() == 0 && p.queue.len == 0 {
		at(g.idleSince + p.settings.MasterIdleTimeout)
	}
	return next
}

// checkInterval is how often workers have to be looked at, idle or busy: leasing
// and releasing them does not wake the loop.
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
