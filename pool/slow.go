package pool

import (
	"errors"
	"time"

	"go.uber.org/zap"
)

// activityTimeout bounds how long a slow request waits for its explanation before it
// is logged without one. It takes a millisecond, but those of many requests are
// made one after the other, so that they cost one processor at most, and a
// process that hangs in the kernel may hang who looks at it.
const activityTimeout = time.Second

// logEndedSlowLocked is for a request that has ended: it may have turned slow
// since the last round. What it did is not to be seen any more.
func (p *Pool) logEndedSlowLocked(w *worker, now time.Duration) {
	if fields := p.slowFieldsLocked(w, now); fields != nil {
		proc := w.proc
		p.goLocked(func() { p.logSlow(proc, fields) })
	}
}

// logSlowLocked logs a request that runs once when it passes SlowRequest, and
// why it is slow.
func (p *Pool) logSlowLocked(w *worker, now time.Duration) {
	fields := p.slowFieldsLocked(w, now)
	if fields == nil {
		return
	}
	turn, proc, g := w.leaseID, w.proc, w.gen
	p.goLocked(func() {
		e, err := p.activity(proc)
		p.mu.Lock()
		if w.leaseID != turn {
			e = Activity{} // it may be that of the next request
		}
		off := errors.Is(err, errors.ErrUnsupported) && !g.noBacktraceLogged
		if off {
			g.noBacktraceLogged = true
		}
		p.mu.Unlock()
		if off {
			p.log.Info("slow requests are logged without a backtrace of PHP",
				zap.Int("generation", g.number), zap.Error(err))
		}
		if len(e.Backtrace) > 0 {
			fields = append(fields, zap.Strings("backtrace", e.Backtrace))
		}
		if e.BlockedOn != "" {
			fields = append(fields, zap.String("waiting_on", e.BlockedOn))
		}
		p.logSlow(proc, fields)
	})
}

// slowFieldsLocked counts a request when it has become slow, and returns what there is
// to log of it; nil if it is not, or was counted before.
func (p *Pool) slowFieldsLocked(w *worker, now time.Duration) []zap.Field {
	l := &w.lease
	if p.settings.SlowRequest <= 0 || l.kind != requestLease || l.slowLogged || now-l.since < p.settings.SlowRequest {
		return nil
	}
	l.slowLogged = true
	p.slow++
	return []zap.Field{
		zap.String("method", l.info.Method), zap.String("uri", l.info.URI),
		zap.String("script", l.info.Script), zap.Float64("seconds", (now - l.since).Seconds()),
		zap.Uint64("worker", w.id), zap.Int("pid", w.proc.PID()),
	}
}

// logSlow writes the record. cpu is what the worker has used since it started:
// what it had used when the request began would have to be read for every one.
func (p *Pool) logSlow(proc Process, fields []zap.Field) {
	p.log.Warn("slow request", append(fields, zap.Float64("cpu", proc.CPU().Seconds()))...)
}

var errActivityTimeout = errors.New("it took too long")

// activity asks what a process does, within activityTimeout.
func (p *Pool) activity(proc Process) (Activity, error) {
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
	// No task of the pool: Close does not wait for it either.
	go func() {
		defer func() { <-p.activitySem }()
		e, err := proc.Activity()
		done <- result{e, err}
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
