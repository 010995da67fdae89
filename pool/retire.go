package pool

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// watch sees the process end, whatever the worker does at that moment.
func (p *Pool) watch(w *worker, done <-chan struct{}) {
	<-done
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.proc.Done() != done {
		return // it drained into another process meanwhile
	}
	switch w.state {
	case Idle:
		p.unlistLocked(w)
		p.removeLocked(w, Crashed)
	case Busy:
		// The response may be complete in the socket; the reader decides.
		w.conn.Interrupt(ErrWorkerDied)
	case Starting, Draining, Stopping, Gone:
		// Whoever moved it there is waiting for the end already.
	}
}

// stopLocked ends a worker that runs no request, and buries it when it is
// gone. The worker is in no list, or still in that of the idle ones.
func (p *Pool) stopLocked(w *worker, reason Reason) {
	if w.state == Idle {
		p.unlistLocked(w)
	}
	p.moveLocked(w, Stopping)
	w.reason = reason
	limit := p.settings.StopTimeout
	p.goLocked(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := w.proc.Stop(ctx); err != nil {
			p.log.Warn("stopping a worker", zap.Uint64("worker", w.id), zap.Error(err))
		}
		p.remove(w, reason)
	})
	// Its place can be taken at once if the generation has a slot to spare.
	p.growLocked()
}

// discardLocked gives up a worker, whose process may have ended already.
func (p *Pool) discardLocked(w *worker, reason Reason) {
	if w.exited() {
		p.removeLocked(w, reason)
	} else {
		p.killLocked(w, reason)
	}
}

// killLocked ends a worker whatever it does.
func (p *Pool) killLocked(w *worker, reason Reason) {
	p.moveLocked(w, Stopping)
	w.reason = reason
	p.goLocked(func() {
		w.proc.Kill() //nolint:errcheck // it may have ended already; Done tells
		<-w.proc.Done()
		p.remove(w, reason)
	})
	p.growLocked()
}

func (p *Pool) remove(w *worker, reason Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.state == Stopping {
		p.removeLocked(w, reason)
	}
}

// removeLocked takes a worker whose process has ended out of the books, frees
// its slot, and has it replaced.
func (p *Pool) removeLocked(w *worker, reason Reason) {
	p.moveLocked(w, Gone)
	w.reason = reason
	delete(p.workers, w.id)
	p.exits[reason]++
	p.closeConn(w)
	w.gen.inUse--
	if reason == Crashed {
		p.workerCrashedLocked(w)
	}
	p.closeIfDrainedLocked(w.gen)
	p.growLocked()
	p.wakeLocked()
}

// closeConn gives back what the connection of an ended process holds.
func (p *Pool) closeConn(w *worker) {
	p.goLocked(func() {
		w.conn.Close() // the peer has gone
		// Frees the slot with the launcher, and the handles on the process.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.proc.Stop(ctx) //nolint:errcheck // it has ended
	})
}

// workerCrashedLocked remembers and logs a lost worker, and slows the pool down when
// workers die before they have done anything.
func (p *Pool) workerCrashedLocked(w *worker) {
	info := &w.lease.info
	p.recordCrashLocked(info.Script)
	p.lastCrash = Crash{Time: time.Now(), Worker: w.id, PID: w.proc.PID(), ExitStatus: w.proc.ExitStatus(), Request: *info}
	if info.Method != "" {
		p.lastCrash.Duration = p.clock() - w.lease.since
	}
	if w.requests == 0 && p.clock()-w.started < time.Second {
		p.failures.add(time.Now())
	}
	if p.failures.logged {
		return
	}
	if p.failures.count > immediateRetries {
		p.failures.logged = true
		p.logLocked(p.log.Error, "workers die as soon as they are launched; slowing down until it works again",
			zap.Duration("retry_in", p.failures.wait(time.Now())))
		return
	}
	exitStatus := zap.Skip()
	if p.lastCrash.ExitStatus != "" {
		exitStatus = zap.String("ended", p.lastCrash.ExitStatus)
	}
	p.logLocked(p.log.Warn, "worker lost", zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()), exitStatus,
		zap.Int("requests", w.requests),
		zap.String("method", info.Method), zap.String("uri", info.URI), zap.String("script", info.Script))
}

// drainLocked gives up the connection of a worker that may still run PHP: its
// client has left, or its answer made no sense. The slot is not free until a
// process answers in it again; how that ends belongs to the goroutine.
func (p *Pool) drainLocked(w *worker) {
	p.moveLocked(w, Draining)
	w.reason = Abandoned
	w.drain = drainState{since: p.clock()}
	p.resumeTimerLocked(w)
	p.wakeLocked()
	p.goLocked(func() { p.drain(w) })
	p.growLocked()
}

// drainGrace tells a process that broke off its answer by dying from one whose
// client has left.
const drainGrace = 20 * time.Millisecond

func exitsWithin(proc Process, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-proc.Done():
		return true
	case <-timer.C:
		return false
	}
}

func (p *Pool) drain(w *worker) {
	w.conn.Close() // nothing was expected from it any more
	if exitsWithin(w.proc, drainGrace) {
		// It was not the client that left.
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stopTimerLocked(w)
		if w.state == Draining {
			p.removeLocked(w, cmp.Or(w.killReason, Crashed))
		}
		return
	}
	proc, err := w.proc.Drain(p.root)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTimerLocked(w)
	if w.state != Draining {
		return
	}
	if err != nil {
		p.discardLocked(w, cmp.Or(w.killReason, Abandoned))
		return
	}
	if proc.PID() != w.proc.PID() {
		// Another process stands in the slot: the old one has ended.
		reason := cmp.Or(w.killReason, Crashed)
		p.exits[reason]++
		if reason == Crashed {
			p.workerCrashedLocked(w)
		}
		w.started, w.requests = p.clock(), 0
		w.last, w.busyTime = finishedRequest{}, 0
		w.lease.disown() // the new process did not run it
		w.maxRequests = p.settings.drawMaxRequests()
		w.killReason = NoReason
	}
	if done := proc.Done(); done != w.proc.Done() {
		// Of the same process there is a watch already: a second one would stay
		// as long as that, one for each client that ever left.
		p.goLocked(func() { p.watch(w, done) })
	}
	w.proc, w.conn = proc, fastcgi.NewConn(proc.Conn())
	w.reason = NoReason
	if w.gen.retired || p.closed {
		w.retireReason = cmp.Or(w.retireReason, Recycled)
	}
	p.returnLocked(w, p.clock())
	p.wakeLocked()
}

// surplusLocked is how many idle workers are too many at once.
func (p *Pool) surplusLocked() int {
	c := p.countsLocked()
	if c.total() <= p.settings.MaxWorkers {
		return 0
	}
	return p.settings.surplus(c, p.retiringLocked())
}

// trimLocked stops the n workers that have idled longest.
func (p *Pool) trimLocked(n int, reason Reason) {
	for range min(n, len(p.idle)) {
		p.stopLocked(p.idle[0], reason)
	}
}

// Recycle replaces one worker: at once when it is idle, else after its
// request. force kills it instead. ErrNoWorker if there is none of that id.
func (p *Pool) Recycle(id uint64, force bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.workers[id]
	if w == nil {
		return ErrNoWorker
	}
	switch {
	case w.state == Idle:
		p.stopLocked(w, Recycled)
	case w.state == Busy && force, w.state == Draining && force:
		w.killReason = Recycled
		w.conn.Interrupt(ErrWorkerDied)
		proc := w.proc
		p.goLocked(func() { proc.Kill() }) //nolint:errcheck // it may have ended
	case w.state == Busy, w.state == Draining:
		w.retireReason = Recycled
	}
	return nil
}
