package pool

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// generation is all workers started from one launcher: one php.ini, one
// OPcache. Everything in it belongs to the pool's mutex.
type generation struct {
	number    int
	launcher  Launcher
	slots     int // 0: no bound
	inUse     int // workers that are not gone, and launches under way
	retired   bool
	closing   bool
	idleSince time.Duration // since when inUse is 0, on the pool's clock
	// noBacktraceLogged: it was said why slow requests have no backtrace.
	noBacktraceLogged bool
}

// free is how many more workers it can have.
func (g *generation) free() int {
	if g.slots == 0 {
		return int(^uint(0) >> 1)
	}
	return max(0, g.slots-g.inUse)
}

// startGeneration starts a generation and its first workers, without making it the
// current one. On error nothing is left of it.
func (p *Pool) startGeneration(ctx context.Context, start Starter, set *Settings) (*generation, []*worker, error) {
	p.mu.Lock()
	p.lastGen++
	g := &generation{number: p.lastGen}
	p.mu.Unlock()

	if set.StartTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, set.StartTimeout)
		defer cancel()
	}
	launcher, err := start(ctx, set.slots())
	if err != nil {
		return nil, nil, err
	}
	g.launcher, g.slots = launcher, launcher.Slots()
	workers, err := p.launchInitial(ctx, g, set.initial())
	if err != nil {
		p.closeLauncher(launcher)
		return nil, nil, err
	}
	return g, workers, nil
}

// launchInitial launches n workers side by side, all or none.
func (p *Pool) launchInitial(ctx context.Context, g *generation, n int) ([]*worker, error) {
	type result struct {
		proc Process
		err  error
	}
	results := make(chan result, n)
	for range n {
		// No task of the pool: all are waited for here.
		go func() {
			proc, err := g.launcher.Launch(ctx)
			results <- result{proc, err}
		}()
	}
	var workers []*worker
	var failed error
	for range n {
		r := <-results
		if r.err != nil {
			failed = r.err
			continue
		}
		workers = append(workers, p.newWorker(g, r.proc))
	}
	return workers, failed
}

// activate makes a generation the current one, puts its workers to work and
// retires its predecessor. It reports whether the pool still wanted it.
func (p *Pool) activate(pr *Prepared) bool {
	g := pr.gen
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || pr.restart && p.activations != pr.activations {
		return false
	}
	p.activations++
	if !pr.restart {
		p.start = pr.start
		p.configureLocked(pr.settings)
	}
	p.opened = true
	old := p.gen
	p.gen = g
	if g != nil {
		g.inUse = len(pr.workers)
		g.idleSince = p.clock()
		p.goLocked(func() { p.watchGeneration(g) })
	}
	for _, w := range pr.workers {
		p.addWorkerLocked(w)
	}
	// Last, so that those who leave are not replaced once more.
	if old != nil {
		p.restarts++
		p.retireGenerationLocked(old)
	}
	p.trimLocked(p.surplusLocked(), Closed)
	p.growLocked()
	p.wakeLocked()
	return true
}

// retireGenerationLocked lets a generation finish its requests and then ends it.
func (p *Pool) retireGenerationLocked(g *generation) {
	g.retired = true
	if p.gen == g {
		p.gen = nil
	}
	for _, w := range p.workersLocked() {
		if w.gen != g {
			continue
		}
		switch w.state {
		case Idle:
			p.stopLocked(w, Recycled)
		case Busy:
			w.retireReason = Recycled
		case Starting, Draining, Stopping, Gone:
			// Starting ones are stopped as they arrive; the others are
			// on their way.
		}
	}
	p.closeIfDrainedLocked(g)
}

// closeIfDrainedLocked ends a retired generation that has no worker left.
func (p *Pool) closeIfDrainedLocked(g *generation) {
	if g.inUse == 0 {
		g.idleSince = p.clock()
	}
	if !g.retired || g.inUse > 0 || g.closing {
		return
	}
	g.closing = true
	p.goLocked(func() { p.closeLauncher(g.launcher) })
}

// closeLauncher ends what is left of a launcher, with a time limit of its own:
// it is called when nobody waits for it.
func (p *Pool) closeLauncher(l Launcher) {
	p.mu.Lock()
	limit := p.settings.StopTimeout
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		p.log.Warn("ending processes", zap.Error(err))
	}
}

// watchGeneration heals the pool when the current generation can launch no
// more: a new one takes its place. Requests that still run finish first.
func (p *Pool) watchGeneration(g *generation) {
	select {
	case <-g.launcher.Done():
	case <-p.root.Done():
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || g.retired {
		return
	}
	delay := p.failures.add(time.Now())
	p.masterExits++
	p.logLocked(p.log.Error, "the master process ended; starting a new generation",
		zap.Int("generation", g.number), zap.Duration("retry_in", delay))
	p.retireGenerationLocked(g)
	p.growLocked()
	p.wakeLocked()
}

// Restart replaces the current generation: a new one is started first, and
// takes over when it serves; the old one finishes its requests and ends. On
// error the old one goes on as if nothing had been asked.
func (p *Pool) Restart(ctx context.Context) error {
	p.restarting.Lock()
	defer p.restarting.Unlock()
	p.mu.Lock()
	start, set, risen := p.start, p.settings, p.activations
	p.mu.Unlock()
	pr, err := p.prepare(ctx, start, set)
	if err != nil {
		return err
	}
	pr.restart, pr.activations = true, risen
	return pr.Commit()
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// startInBackgroundLocked begins a generation in the background because there is none and
// one is wanted. Only one is begun at a time.
func (p *Pool) startInBackgroundLocked() {
	if p.startPending {
		return
	}
	p.startPending = true
	p.goLocked(func() {
		err := p.Restart(p.root)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.startPending = false
		if err != nil && !errors.Is(err, ErrClosed) {
			p.launchFailedLocked(err)
		}
		p.growLocked()
		p.wakeLocked()
	})
}
