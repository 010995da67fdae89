package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// failures delays launches when they keep failing, or workers exit immediately.
type failures struct {
	count  int
	until  time.Time
	err    error
	logged bool
	// serial counts all failures and is never reset. What remembers it when it
	// begins, and fails when it is higher, has failed together with another one.
	serial uint64
}

// The first retries are immediate: a single crash must not delay anything.
const (
	immediateRetries = 2
	minBackoff       = 100 * time.Millisecond
	maxBackoff       = 10 * time.Second
)

// add counts a failure and returns the delay until the next launch. serial is
// that at the start of the launch: launches that fail together, as when the system
// is out of memory, count as one failure.
func (f *failures) add(now time.Time, serial uint64) time.Duration {
	if serial != f.serial {
		return f.wait(now)
	}
	f.serial++
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

// resetFailuresLocked forgets the failures: a worker that was launched after the
// last one, whose number is serial, has served a request.
func (p *Pool) resetFailuresLocked(serial uint64) {
	if p.failures.count == 0 || serial != p.failures.serial {
		return
	}
	if p.failures.logged {
		p.logLocked(p.log.Info, "workers launch successfully again")
	}
	p.failures = failures{serial: p.failures.serial}
}

// wait returns the time until the next launch is allowed.
func (f *failures) wait(now time.Time) time.Duration { return max(0, f.until.Sub(now)) }

// growLocked starts the launches that Size.missing asks for, or the generation
// that they need, as far as the TotalLimit allows.
func (p *Pool) growLocked() {
	if p.closed || !p.opened || p.failures.wait(time.Now()) > 0 {
		p.takeLocked(0)
		return
	}
	g, n := p.gen, p.settings.missing(p.countsLocked())
	switch {
	case g != nil && g.failed:
		p.takeLocked(0)
		p.startInBackgroundLocked()
	case g == nil && n > 0:
		if p.mayStartLocked() {
			p.startInBackgroundLocked()
		}
	case g == nil:
		p.takeLocked(0)
	default:
		for range p.takeLocked(min(n, g.free())) {
			if g.starting == 0 {
				g.startingSince = p.clock()
			}
			p.starting++
			g.starting++
			g.inUse++
			at := p.attemptLocked()
			p.goLocked(func() { p.launch(g, at) })
		}
	}
}

// attempt is the start of a launch or of a generation.
type attempt struct {
	start  time.Duration // on the pool's clock
	serial uint64        // see failures
}

func (p *Pool) attemptLocked() attempt { return attempt{p.clock(), p.failures.serial} }

// launch launches one worker and makes it available. It continues even if the
// request that triggered it gives up: the next one gets the worker. It ends with
// its generation, which must not hold up the next one.
func (p *Pool) launch(g *generation, at attempt) {
	p.mu.Lock()
	limit := p.settings.StartTimeout
	p.mu.Unlock()
	ctx := g.launchCtx
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	begin := p.clock()
	proc, err := g.launcher.Launch(ctx)
	elapsed := p.clock() - begin
	timedOut := errors.Is(ctx.Err(), context.DeadlineExceeded)

	p.mu.Lock()
	defer p.mu.Unlock()
	if g.starting > 0 { // 0 if the generation has failed or is retired
		p.starting--
		g.starting--
	}
	if err == nil {
		g.lastLaunch, g.hangs = p.clock(), false
		p.addWorkerLocked(p.newWorker(g, proc, at.serial, elapsed))
	} else {
		g.inUse--
		p.total.release(1)
		p.closeIfDrainedLocked(g)
		p.launchEndedLocked(g, at, timedOut, err)
	}
	p.growLocked()
	p.wakeLocked()
	p.notifyLaunchedLocked()
}

// launchEndedLocked decides whether a failed launch is charged to the pool, which
// then delays the next one, or to its generation, which is then replaced.
func (p *Pool) launchEndedLocked(g *generation, at attempt, timedOut bool, err error) {
	exited := false
	select {
	case <-g.launcher.Done():
		exited = true
	default:
	}
	switch {
	case p.closed || g.retired || g.failed: // it says nothing of the next generation
	case exited:
		p.masterExitedLocked(g)
	default:
		p.launchFailedLocked(at, err)
		if timedOut && g.slots > 0 && g.lastLaunch <= at.start && !isBootError(err) {
			p.masterHangsLocked(g)
		}
	}
}

// notifyLaunchedLocked wakes WaitStable.
func (p *Pool) notifyLaunchedLocked() {
	if p.launched != nil {
		close(p.launched)
		p.launched = nil
	}
}

// newWorker returns a worker for a new process. It is in no list yet. serial is
// that of its launch, which took so long.
func (p *Pool) newWorker(g *generation, proc Process, serial uint64, elapsed time.Duration) *worker {
	now := p.clock()
	return &worker{
		launchSerial: serial, launchTime: elapsed,
		id: p.lastWorkerID.Add(1), gen: g, proc: proc, conn: proc.Conn(),
		started: now, lastChecked: now,
	}
}

// addWorkerLocked adds a worker that has been launched.
func (p *Pool) addWorkerLocked(w *worker) {
	p.workers[w.id] = w
	p.inState[w.state]++
	p.launches++
	p.launchTime += w.launchTime
	w.maxRequests = p.settings.drawMaxRequests()
	done := w.proc.Done()
	p.goLocked(func() { p.watch(w, done) })
	if p.closed || w.gen.retired {
		p.stopLocked(w, Closed)
		return
	}
	p.makeAvailableLocked(w, p.clock())
}

// launchFailedLocked counts a failed launch. If launches are delayed and no worker
// could serve the queue, it fails the requests that this launch was for, and those
// that may not wait for the next one.
func (p *Pool) launchFailedLocked(at attempt, err error) {
	delay := p.failures.add(time.Now(), at.serial)
	p.bootFailedLocked(err)
	// A script that is being written fails in one way after the other.
	if !p.failures.logged || isBootError(err) && fmt.Sprint(p.failures.err) != err.Error() {
		p.failures.logged = true
		p.logLocked(p.log.Error, "cannot launch a worker; retrying", zap.Error(err), retryIn(delay))
	}
	p.failures.err = err
	if delay == 0 || p.startPending || p.countsLocked().total() > 0 || p.failures.count < p.settings.LaunchFailures {
		return
	}
	next := p.clock() + delay
	for wt := p.queue.first; wt != nil; {
		following := wt.next
		if wt.since <= at.start || wt.maxWait > 0 && wt.since+wt.maxWait <= next {
			p.queue.remove(wt)
			p.rejectWaiterLocked(wt, &LaunchError{Err: err, RetryIn: delay})
		}
		wt = following
	}
}

// bootFailedLocked counts a launch that failed because of the worker script.
func (p *Pool) bootFailedLocked(err error) {
	if isBootError(err) {
		p.exits[BootFailed]++
	}
}

func isBootError(err error) bool {
	_, ok := errors.AsType[*BootError](err)
	return ok
}

// retryIn is the log field for the delay until the next launch.
func retryIn(delay time.Duration) zap.Field {
	if delay == 0 {
		return zap.Skip() // at once
	}
	return zap.Duration("retry_in", delay)
}
