package pool

import (
	"errors"
	"time"

	"go.uber.org/zap"
)

// activityTimeout limits how long the record of a slow request waits for the
// backtrace. Reading one takes about a millisecond, but only one is read at a
// time, to limit the CPU time, and reading /proc of a process that is stuck in the
// kernel may block.
const activityTimeout = time.Second

// logEndedSlowLocked logs a request that has ended if it was slow and maintenance
// has not logged it yet. Its backtrace is not available any more.
func (p *Pool) logEndedSlowLocked(w *worker, now time.Duration) {
	if fields := p.slowFieldsLocked(w, now); fields != nil {
		proc := w.proc
		p.goLocked(func() { p.logSlow(proc, fields) })
	}
}

// logSlowLocked logs a running request once it exceeds SlowRequest, with what the
// process does at the moment.
func (p *Pool) logSlowLocked(w *worker, now time.Duration) {
	fields := p.slowFieldsLocked(w, now)
	if fields == nil {
		return
	}
	leaseID, proc, g, depth := w.leaseID, w.proc, w.gen, p.settings.BacktraceDepth
	p.goLocked(func() {
		a, err := p.activity(proc, depth)
		p.mu.Lock()
		if w.leaseID != leaseID {
			a = Activity{} // it may belong to the next request
		}
		off := errors.Is(err, errors.ErrUnsupported) && !g.noBacktraceLogged
		if off {
			g.noBacktraceLogged = true
		}
		p.mu.Unlock()
		if off {
			p.log.Info("PHP backtraces unavailable",
				zap.Int("generation", g.number), zap.Error(err))
		}
		if len(a.Backtrace) > 0 {
			fields = append(fields, zap.Strings("backtrace", a.Backtrace))
		}
		if a.BlockedOn != "" {
			fields = append(fields, zap.String("blocked_on", a.BlockedOn))
		}
		p.logSlow(proc, fields)
	})
}

// slowFieldsLocked counts a request that has become slow and returns its log
// fields. It returns nil if the request is not slow or was counted before.
func (p *Pool) slowFieldsLocked(w *worker, now time.Duration) []zap.Field {
	l := &w.lease
	if p.settings.SlowRequest <= 0 || l.kind != requestLease || l.slowLogged || l.finishing || now-l.since < p.settings.SlowRequest {
		return nil
	}
	l.slowLogged = true
	p.slow++
	return []zap.Field{
		zap.String("method", l.info.Method), zap.String("uri", l.info.URI),
		zap.String("script", l.info.Script), zap.Float64("duration", (now - l.since).Seconds()),
		zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
	}
}

// logSlow writes the log record. cpu_seconds is the CPU time since the worker
// started: to know that of the request, it would have to be read before each one.
func (p *Pool) logSlow(proc Process, fields []zap.Field) {
	p.log.Warn("slow request", append(fields, zap.Float64("cpu_seconds", proc.CPU().Seconds()))...)
}

var errActivityTimeout = errors.New("timeout reading the activity of the process")

// activity returns what a process does, within activityTimeout, with depth calls.
func (p *Pool) activity(proc Process, depth int) (Activity, error) {
	timer := time.NewTimer(activityTimeout)
	defer timer.Stop()
	select {
	case p.activitySem <- struct{}{}:
	case <-timer.C:
		return Activity{}, errActivityTimeout
	case <-p.root.Done():
		return Activity{}, ErrClosed
	}
	type result struct {
		Activity
		error
	}
	done := make(chan result, 1)
	// Not goLocked: Close does not wait for a read that may block.
	go func() {
		defer func() { <-p.activitySem }()
		a, err := proc.Activity(depth)
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		return r.Activity, r.error
	case <-timer.C:
		return Activity{}, errActivityTimeout
	case <-p.root.Done():
		return Activity{}, ErrClosed
	}
}
