package pool

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// failures delays launches when they keep failing, or workers exit immediately.
type failures struct {
	count  int
	until  time.Time
	err    error
	logged bool
}

// The first retries are immediate: a single crash must not delay anything.
const (
	immediateRetries = 2
	minBackoff       = 100 * time.Millisecond
	maxBackoff       = 10 * time.Second
)

// add counts a failure and returns the delay until the next launch.
func (f *failures) add(now time.Time) time.Duration {
	f.count++
	if f.count <= immediateRetries {
		return 0
	}
	delay := maxBackoff
	if shift := f.count - immediateRetries - 1; shift < 7 {
		delay = min(maxBackoff, minBackoff<<shift)
	}
	f.until = now.Add(delay)
	return delay
}

// resetFailuresLocked forgets the failures: a worker has served a request.
func (p *Pool) resetFailuresLocked() {
	if p.failures.count == 0 {
		return
	}
	if p.failures.logged {
		p.logLocked(p.log.Info, "workers launch successfully again")
	}
	p.failures = failures{}
}

// wait returns the time until the next launch is allowed.
func (f *failures) wait(now time.Time) time.Duration { return max(0, f.until.Sub(now)) }

// growLocked starts the launches that Size.missing asks for.
func (p *Pool) growLocked() {
	if p.closed || !p.opened {
		return
	}
	n := p.settings.missing(p.countsLocked())
	if n == 0 || p.failures.wait(time.Now()) > 0 {
		return
	}
	if p.gen == nil {
		p.startInBackgroundLocked()
		return
	}
	g := p.gen
	for range min(n, g.free()) {
		p.starting++
		g.inUse++
		p.goLocked(func() { p.launch(g) })
	}
}

// launch launches one worker and makes it available. It continues even if the
// request that triggered it gives up: the next one gets the worker.
func (p *Pool) launch(g *generation) {
	p.mu.Lock()
	limit := p.settings.StartTimeout
	p.mu.Unlock()
	ctx := p.root
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	proc, err := g.launcher.Launch(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	switch {
	case err != nil:
		g.inUse--
		p.closeIfDrainedLocked(g)
		if !p.closed && !g.retired {
			p.launchFailedLocked(err)
		}
	default:
		w := p.newWorker(g, proc)
		p.addWorkerLocked(w)
	}
	p.growLocked()
	p.wakeLocked()
	if p.launched != nil {
		close(p.launched)
		p.launched = nil
	}
}

// newWorker returns a worker for a new process. It is in no list yet.
func (p *Pool) newWorker(g *generation, proc Process) *worker {
	now := p.clock()
	return &worker{
		id: p.lastWorkerID.Add(1), gen: g, proc: proc, conn: fastcgi.NewConn(proc.Conn()),
		started: now, lastChecked: now,
	}
}

// addWorkerLocked adds a worker that has been launched.
func (p *Pool) addWorkerLocked(w *worker) {
	p.workers[w.id] = w
	p.inState[w.state]++
	p.launches++
	w.maxRequests = p.settings.drawMaxRequests()
	done := w.proc.Done()
	p.goLocked(func() { p.watch(w, done) })
	if p.closed || w.gen.retired {
		p.stopLocked(w, Closed)
		return
	}
	p.makeAvailableLocked(w, p.clock())
}

// launchFailedLocked counts a failed launch. If launches are delayed and no other
// worker could serve the queue, it fails the waiting requests.
func (p *Pool) launchFailedLocked(err error) {
	delay := p.failures.add(time.Now())
	p.failures.err = err
	if !p.failures.logged {
		p.failures.logged = true
		p.logLocked(p.log.Error, "cannot launch a worker; retrying",
			zap.Error(err), zap.Duration("retry_in", delay))
	}
	if delay == 0 || p.starting > 0 {
		return
	}
	if c := p.countsLocked(); c.busy+c.draining > 0 {
		return
	}
	for wt := p.queue.pop(); wt != nil; wt = p.queue.pop() {
		p.rejectWaiterLocked(wt, &LaunchError{Err: err, RetryIn: delay})
	}
}
