package pool

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// generation is all workers of one launcher: they share one php.ini and, with
// shared php-cgi, one OPcache. The pool's mutex guards all fields.
type generation struct {
	number    int
	launcher  Launcher
	slots     int // 0 means no limit
	inUse     int // workers that have not exited, and launches in progress
	retired   bool
	closing   bool
	idleSince time.Duration // when inUse became 0, on the pool's clock
	// noBacktraceLogged is set once the log says why backtraces are unavailable.
	noBacktraceLogged bool
}

// free returns the number of unused slots.
func (g *generation) free() int {
	if g.slots == 0 {
		return int(^uint(0) >> 1)
	}
	return max(0, g.slots-g.inUse)
}

// startGeneration starts a generation and its initial workers without making it
// current. On error it has stopped them again.
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

// launchInitial launches n workers concurrently. It fails if any of them does.
func (p *Pool) launchInitial(ctx context.Context, g *generation, n int) ([]*worker, error) {
	type result struct {
		proc Process
		err  error
	}
	results := make(chan result, n)
	for range n {
		// Not goLocked: all results are received below.
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

// activate makes a generation current and its workers available, and retires the
// previous generation. It returns false if the pool was closed meanwhile, or if a
// restart was overtaken by a newer generation.
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
	// Retire last: growLocked must not replace the workers of the old generation.
	if old != nil {
		p.restarts++
		p.retireGenerationLocked(old)
	}
	p.trimLocked(p.surplusLocked(), Closed)
	p.growLocked()
	p.wakeLocked()
	return true
}

// retireGenerationLocked closes a generation once its requests have ended.
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
			// Workers being launched are stopped when they are added; the others are
			// on their way out.
		}
	}
	p.closeIfDrainedLocked(g)
}

// closeIfDrainedLocked closes a retired generation that has no workers left.
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

// closeLauncher stops all processes of a launcher. It has its own time limit,
// because no caller waits for it.
func (p *Pool) closeLauncher(l Launcher) {
	p.mu.Lock()
	limit := p.settings.StopTimeout
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		p.log.Warn("error stopping processes", zap.Error(err))
	}
}

// watchGeneration starts a new generation when the master process of the current
// one exits. Running requests of the old one finish first.
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
	p.logLocked(p.log.Error, "master process exited; starting a new generation",
		zap.Int("generation", g.number), zap.Duration("retry_in", delay))
	p.retireGenerationLocked(g)
	p.growLocked()
	p.wakeLocked()
}

// Restart replaces the current generation. It starts a new one with its initial
// workers first; then new requests use that, and the old one is closed when its
// requests have ended. On error the old one continues unchanged.
func (p *Pool) Restart(ctx context.Context) error {
	p.restarting.Lock()
	defer p.restarting.Unlock()
	p.mu.Lock()
	start, set, activations := p.start, p.settings, p.activations
	p.mu.Unlock()
	pr, err := p.prepare(ctx, start, set)
	if err != nil {
		return err
	}
	pr.restart, pr.activations = true, activations
	return pr.Commit()
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// startInBackgroundLocked starts a generation when one is needed and none exists.
// Only one is started at a time.
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
