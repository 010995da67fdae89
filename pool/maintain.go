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

// tick is how often workers are looked at while there is something to see:
// a request that may turn slow, an idle worker above the floor.
const tick = time.Second

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
		case <-p.poke:
		case <-timer.C:
		}
		p.mu.Lock()
		if !p.closed {
			p.careLocked(p.clock())
		}
		next := p.nextLocked(p.clock())
		p.mu.Unlock()
		timer.Reset(next)
	}
}

// careLocked is one round.
func (p *Pool) careLocked(now time.Duration) {
	p.expireIdleLocked(now)
	for _, w := range p.workersLocked() {
		switch w.state {
		case Idle:
			p.careIdleLocked(w, now)
		case Busy:
			p.tellSlowLocked(w, now)
		case Draining:
			p.endAbandonedLocked(w, now)
		case Starting, Stopping, Gone:
		}
	}
	p.restLocked(now)
	p.growLocked()
}

// expireIdleLocked shrinks the pool from the tail of the idle list: the worker
// that was used least lately stands first.
func (p *Pool) expireIdleLocked(now time.Duration) {
	c := p.census()
	surplus, spare, expendable := p.set.surplus(c, 0), p.set.overSpare(c), p.set.expendable(c)
	for n := 0; len(p.idle) > 0; n++ {
		idle, reason := now-p.idle[0].idleSince, IdleTimeout
		switch {
		case n < surplus && idle >= spareLinger:
			reason = Closed
		case n < spare && idle >= spareLinger, n < expendable && idle >= p.set.IdleTimeout:
		default:
			return
		}
		p.stopLocked(p.idle[0], reason)
	}
}

// careIdleLocked retires an idle worker that got too old, and probes it when
// that is due.
func (p *Pool) careIdleLocked(w *worker, now time.Duration) {
	if reason := p.set.exceeded(w.served, w.budget, now-w.born); reason != NoReason {
		p.stopLocked(w, reason)
		return
	}
	every := p.set.HealthInterval
	if every <= 0 || now-max(w.probed, w.idleSince) < every {
		return
	}
	lease := p.borrowLocked(w)
	p.goLocked(func() { p.probe(lease) })
}

// probeTimeout is how long an idle worker may take to answer GET_VALUES, which
// takes it 20 microseconds.
const probeTimeout = 2 * time.Second

// probe asks a worker, leased for that purpose, whether it lives.
func (p *Pool) probe(l Lease) {
	ctx, cancel := context.WithTimeout(p.root, probeTimeout)
	defer cancel()
	err := l.w.gen.launcher.Probe(ctx, l.w.conn)
	if err != nil && p.root.Err() == nil {
		p.log.Warn("a worker did not answer the health probe",
			zap.Uint64("worker", l.w.id), zap.Int("pid", l.w.proc.PID()), zap.Error(err))
	}
	if err != nil {
		l.giveBack(ProbeFailed)
		return
	}
	l.giveBack(NoReason)
}

// probedLocked takes back a worker that has answered the probe. With nobody in
// line it goes where it was among the idle ones, as old as it was, or a pool
// that is probed would never shrink.
func (p *Pool) probedLocked(w *worker) {
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

// endAbandonedLocked ends a script that nobody waits for any more, when its
// worker is what others wait for: softly first, as request_timeout does.
func (p *Pool) endAbandonedLocked(w *worker, now time.Duration) {
	switch {
	case p.line.len == 0 || now-w.drainSince < abandonedGrace:
	case w.askedToEnd == 0:
		w.askedToEnd = now
		p.tellLocked(p.log.Warn, "ending a script whose client has left, because requests wait for its worker",
			zap.String("script", w.info.Script), zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
			zap.Duration("abandoned_for", now-w.drainSince))
		w.proc.SoftTimeout() //nolint:errcheck // if it cannot, it is killed next
	case now-w.askedToEnd >= killDelay:
		w.killed = Abandoned
		w.proc.Kill() //nolint:errcheck // it may have ended meanwhile
	}
}

// restLocked ends a generation that has had no worker for long enough.
func (p *Pool) restLocked(now time.Duration) {
	g := p.gen
	if g == nil || g.inUse > 0 || p.set.floor() > 0 || p.line.len > 0 {
		return
	}
	if now-g.idle >= p.set.MasterIdleTimeout {
		p.retireLocked(g)
	}
}

// nextLocked is in how long careLocked has something to do.
func (p *Pool) nextLocked(now time.Duration) time.Duration {
	next := never
	at := func(t time.Duration) { next = min(next, max(0, t-now)) }
	if p.closed {
		return next
	}
	if wait := p.fail.wait(time.Now()); wait > 0 {
		next = min(next, wait)
	}
	if len(p.workers) > 0 {
		next = min(next, p.set.roundEvery())
	}
	c := p.census()
	if c.draining > 0 {
		next = min(next, tick)
	}
	if c.busy > 0 && c.total() > p.set.floor() {
		next = min(next, tick) // any of them may become one too many
	}
	if len(p.idle) > 0 && (p.set.overSpare(c) > 0 || p.set.surplus(c, 0) > 0) {
		at(p.idle[0].idleSince + spareLinger)
	}
	if len(p.idle) > 0 && p.set.expendable(c) > 0 {
		at(p.idle[0].idleSince + p.set.IdleTimeout)
	}
	if g := p.gen; g != nil && g.inUse == 0 && p.set.floor() == 0 && p.line.len == 0 {
		at(g.idle + p.set.MasterIdleTimeout)
	}
	return next
}

// roundEvery is how often workers have to be looked at, idle or busy: leasing
// and releasing them does not wake the loop.
func (s *Settings) roundEvery() time.Duration {
	every := never
	if s.SlowRequest > 0 {
		every = min(every, max(s.SlowRequest/4, tick))
	}
	if s.HealthInterval > 0 {
		every = min(every, max(s.HealthInterval/4, tick))
	}
	if s.Age > 0 {
		every = min(every, max(s.Age/10, tick))
	}
	return every
}
