package pool

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"
)

// watch waits until the process has exited and removes the worker, whatever state
// it is in.
func (p *Pool) watch(w *worker, done <-chan struct{}) {
	<-done
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.proc.Done() != done {
		return // a drain has replaced the process
	}
	switch w.state {
	case Idle:
		p.unlistLocked(w)
		p.removeLocked(w, w.exitReason())
	case Busy:
		// The response may be complete in the socket; its reader decides.
		w.conn.Interrupt(ErrWorkerDied)
	case Starting, Draining, Stopping, Gone:
		// The code that set the state waits for the exit already.
	}
}

// stopLocked stops a worker that runs no request, and removes it when it has
// exited. The worker is idle or in no list.
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
			p.log.Warn("error stopping worker", zap.Uint64("worker", w.id), zap.Error(err))
		}
		p.remove(w, reason)
	})
	// Its replacement can start now if the generation has a free slot.
	p.growLocked()
}

// discardLocked replaces a worker whose process may have exited already.
func (p *Pool) discardLocked(w *worker, reason Reason) {
	if w.exited() {
		p.removeLocked(w, reason)
	} else {
		p.killLocked(w, reason)
	}
}

// killLocked kills a worker in any state and removes it when it has exited.
func (p *Pool) killLocked(w *worker, reason Reason) {
	p.moveLocked(w, Stopping)
	w.reason = reason
	p.goLocked(func() {
		w.proc.Kill() //nolint:errcheck // it may have exited already; we wait for Done
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

// removeLocked removes a worker whose process has exited, frees its slot and
// replaces it.
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
	if reason == ScriptEnded {
		p.scriptEndedLocked(w)
	}
	p.closeIfDrainedLocked(w.gen)
	p.growLocked()
	p.wakeLocked()
}

// closeConn releases the connection and the slot of an exited process.
func (p *Pool) closeConn(w *worker) {
	p.goLocked(func() {
		w.conn.Close() // the peer has exited
		// Frees the launcher's slot and the handles of the process.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.proc.Stop(ctx) //nolint:errcheck // it has exited
	})
}

// workerCrashedLocked records and logs an unexpected exit, and delays launches if
// workers exit before they have got a request.
func (p *Pool) workerCrashedLocked(w *worker) {
	info := &w.lease.info
	p.recordCrashLocked(info)
	p.lastCrash = Crash{Time: time.Now(), Worker: w.id, PID: w.proc.PID(), ExitStatus: w.proc.ExitStatus(), Request: *info}
	if info.Method != "" {
		p.lastCrash.Duration = p.clock() - w.lease.since
	}
	// A worker that got a request has requests > 0. Its crash may be the request's
	// doing: if it delayed launches, clients could slow the pool down for all.
	if w.requests == 0 && p.clock()-w.started < time.Second {
		p.failures.add(time.Now(), w.launchSerial)
	}
	if p.failures.logged {
		return
	}
	if p.failures.count > immediateRetries {
		p.failures.logged = true
		p.logLocked(p.log.Error, "workers exit immediately after launch; delaying further launches",
			retryIn(p.failures.wait(time.Now())))
		return
	}
	p.logLocked(p.log.Warn, "worker exited unexpectedly", zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
		ifSet("exit_status", p.lastCrash.ExitStatus), zap.Int("requests", w.requests),
		ifSet("method", info.Method), ifSet("uri", info.URI), ifSet("script", info.Script))
}

// scriptEndedLocked logs that a worker script has ended by itself, and delays launches
// if scripts end before they have got a request.
func (p *Pool) scriptEndedLocked(w *worker) {
	if w.requests == 0 && p.clock()-w.started < time.Second {
		p.failures.add(time.Now(), w.launchSerial)
		if p.failures.count > immediateRetries && !p.failures.logged {
			p.failures.logged = true
			p.logLocked(p.log.Error, "worker scripts end before their first request; delaying further launches",
				retryIn(p.failures.wait(time.Now())))
		}
	}
	text, _ := w.proc.ScriptEnd()
	info := &w.lease.info
	fields := []zap.Field{zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()), zap.Int("requests", w.requests)}
	if text == "" { // by its own limit of requests, or exit
		p.logLocked(p.log.Debug, "worker script ended", fields...)
		return
	}
	fields = append(fields, zap.String("error", text),
		ifSet("method", info.Method), ifSet("uri", info.URI), ifSet("script", info.Script))
	p.logLocked(p.log.Warn, "worker script ended", fields...)
}

// ifSet is a log field, or none for an empty value: a worker that was idle had no
// request.
func ifSet(key, value string) zap.Field {
	if value == "" {
		return zap.Skip()
	}
	return zap.String(key, value)
}

// drainLocked gives up the request of a worker that may still run PHP: its client
// disconnected, or its response was invalid. The slot remains occupied until a
// process is ready in it again. p.drain does the rest in a goroutine.
func (p *Pool) drainLocked(w *worker) {
	p.moveLocked(w, Draining)
	w.reason = Abandoned
	w.drain = drainState{since: p.clock()}
	p.resumeTimerLocked(w)
	p.wakeLocked()
	p.goLocked(func() { p.drain(w) })
	p.growLocked()
}

// drainGrace is how long drain waits for the exit of a process that has crashed.
// If it still runs then, the client has disconnected.
const drainGrace = 20 * time.Millisecond

// scriptEndGrace is how long drain waits for the end of a worker script that has closed
// its connection. PHP still runs destructors and shutdown functions then.
const scriptEndGrace = 250 * time.Millisecond

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

// drain waits until a process is ready again in the slot of a draining worker, and
// makes the worker available.
func (p *Pool) drain(w *worker) {
	w.conn.Abandon()
	if exitsWithin(w.proc, drainGrace) {
		// The worker crashed; the client did not disconnect.
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stopTimerLocked(w)
		if w.state == Draining {
			p.removeLocked(w, cmp.Or(w.killReason, w.exitReason()))
		}
		return
	}
	p.mu.Lock()
	boots := p.settings.Boots
	p.mu.Unlock()
	proc, err := w.proc.Drain(p.root)
	if err != nil && boots && p.root.Err() == nil {
		exitsWithin(w.proc, scriptEndGrace)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopTimerLocked(w)
	if w.state != Draining {
		return
	}
	if err != nil {
		reason := Abandoned
		if w.exited() {
			reason = w.exitReason()
		}
		p.discardLocked(w, cmp.Or(w.killReason, reason))
		return
	}
	if proc.PID() != w.proc.PID() {
		// Another process is in the slot: the old one has exited.
		reason := cmp.Or(w.killReason, Crashed)
		p.exits[reason]++
		if reason == Crashed {
			p.workerCrashedLocked(w)
		}
		w.started, w.requests, w.launchSerial = p.clock(), 0, p.failures.serial
		w.last, w.busyTime = finishedRequest{}, 0
		w.lease.disown() // the new process did not run the request
		w.maxRequests = p.settings.drawMaxRequests()
		w.killReason = NoReason
	}
	if done := proc.Done(); done != w.proc.Done() {
		// Only for another process: watch already runs for this one, and each drain
		// would add a goroutine that lives as long as the process.
		p.goLocked(func() { p.watch(w, done) })
	}
	w.proc, w.conn = proc, proc.Conn()
	w.reason = NoReason
	if w.gen.retired || p.closed {
		w.retireReason = cmp.Or(w.retireReason, Recycled)
	}
	p.returnLocked(w, p.clock())
	p.wakeLocked()
}

// surplusLocked returns how many idle workers are to stop at once.
func (p *Pool) surplusLocked() int {
	c := p.countsLocked()
	if c.total() <= p.settings.MaxWorkers {
		return 0
	}
	return p.settings.surplus(c, p.retiringLocked())
}

// trimLocked stops the n workers that have been idle longest.
func (p *Pool) trimLocked(n int, reason Reason) {
	for range min(n, len(p.idle)) {
		p.stopLocked(p.idle[0], reason)
	}
}

// Recycle replaces a worker: at once if it is idle, else when its request ends.
// With force it kills a busy worker, whose request fails. It returns
// [ErrNoWorker] if the ID is unknown.
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
		p.goLocked(func() { proc.Kill() }) //nolint:errcheck // it may have exited already
	case w.state == Busy, w.state == Draining:
		w.retireReason = Recycled
	}
	return nil
}
