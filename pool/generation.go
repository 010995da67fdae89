package pool

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// generation is all workers of one launcher: they share one php.ini and, with
// shared php-cgi, one OPcache. The pool's mutex guards all fields.
type generation struct {
	number    int
	launcher  Launcher
	slots     int           // 0 means no limit
	inUse     int           // workers that have not exited, and launches in progress
	idleSince time.Duration // when inUse became 0, on the pool's clock
	serial    uint64        // of its start, see failures

	// failed means that it launches no more workers: its master has exited or
	// hangs. Those that it has serve until the next generation does. hangs means
	// that its processes are to be killed, because they do not react to TERM.
	failed, hangs bool
	retired       bool
	closing       bool

	// starting counts the launches in progress that the pool waits for: none once
	// the generation has failed or is retired. startingSince is when the number
	// was 0 last, lastLaunch when a launch succeeded last.
	starting                  int
	startingSince, lastLaunch time.Duration
	// launchCtx limits the launches; endLaunches cancels it.
	launchCtx   context.Context //nolint:containedctx // the generation's own lifetime
	endLaunches context.CancelFunc

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
	g := &generation{number: p.lastGen, serial: p.failures.serial}
	counted := p.countedStarts
	p.countedStarts = 0
	p.mu.Unlock()

	if set.StartTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, set.StartTimeout)
		defer cancel()
	}
	launcher, err := start(ctx, set.slots())
	if err != nil {
		p.total.release(counted)
		return nil, nil, err
	}
	g.launcher, g.slots = launcher, launcher.Slots()
	initial := p.total.takeInitial(set.initial(), counted)
	workers, err := p.launchInitial(ctx, g, initial)
	if err != nil {
		p.closeLauncher(launcher)
		p.total.release(initial)
		return nil, nil, err
	}
	return g, workers, nil
}

// launchInitial launches n workers concurrently. It fails if any of them does.
func (p *Pool) launchInitial(ctx context.Context, g *generation, n int) ([]*worker, error) {
	type result struct {
		proc    Process
		err     error
		elapsed time.Duration
	}
	results := make(chan result, n)
	for range n {
		// Not goLocked: all results are received below.
		go func() {
			begin := p.clock()
			proc, err := g.launcher.Launch(ctx)
			results <- result{proc, err, p.clock() - begin}
		}()
	}
	var workers []*worker
	var failed error
	for range n {
		r := <-results
		if r.err != nil {
			failed = r.err
			p.mu.Lock()
			p.bootFailedLocked(r.err)
			p.mu.Unlock()
			continue
		}
		workers = append(workers, p.newWorker(g, r.proc, g.serial, r.elapsed))
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
	p.replacing = p.replacing && pr.background
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
		g.launchCtx, g.endLaunches = context.WithCancel(p.root)
		p.goLocked(func() { p.watchGeneration(g) })
	}
	for _, w := range pr.workers {
		p.addWorkerLocked(w)
	}
	// Retire last: growLocked must not replace the workers of the old generation.
	if old != nil {
		switch {
		case !pr.background:
			p.restarts++
		case !old.failed: // its launches took too long
			p.masterExits++
		}
		p.retireGenerationLocked(old)
	}
	if !pr.background {
		p.resetFailuresLocked(p.failures.serial) // they were those of the old one
	}
	p.trimLocked(p.surplusLocked(), Closed)
	p.growLocked()
	p.wakeLocked()
	p.notifyLaunchedLocked()
	return true
}

// endLaunchesLocked cancels the launches of a generation, which count no more.
func (p *Pool) endLaunchesLocked(g *generation) {
	g.endLaunches()
	p.starting -= g.starting
	g.starting = 0
}

// retireGenerationLocked closes a generation once its requests have ended.
func (p *Pool) retireGenerationLocked(g *generation) {
	p.endLaunchesLocked(g)
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

// closeIfDrainedLocked closes a generation that has no workers left, if it is
// retired or can launch no more.
func (p *Pool) closeIfDrainedLocked(g *generation) {
	if g.inUse == 0 {
		g.idleSince = p.clock()
	}
	switch {
	case g.inUse > 0 || g.closing:
	case g.retired:
		g.closing = true
		limit := p.settings.StopTimeout
		if g.hangs {
			limit = 0
		}
		p.goLocked(func() { p.closeLauncherWithin(g.launcher, limit) })
	case g.failed:
		p.retireGenerationLocked(g)
	}
}

// closeLauncher stops all processes of a launcher. It has its own time limit,
// because no caller waits for it.
func (p *Pool) closeLauncher(l Launcher) {
	p.mu.Lock()
	limit := p.settings.StopTimeout
	p.mu.Unlock()
	p.closeLauncherWithin(l, limit)
}

func (p *Pool) closeLauncherWithin(l Launcher, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		p.log.Warn("error stopping processes", zap.Error(err))
	}
}

// Restart replaces the current generation. It starts a new one with its initial
// workers first; then new requests use that, and the old one is closed when its
// requests have ended. On error the old one continues unchanged.
func (p *Pool) Restart(ctx context.Context) error { return p.restart(ctx, false) }

// restart is Restart. background means that the pool itself replaces a generation
// that has failed.
func (p *Pool) restart(ctx context.Context, background bool) error {
	p.restarting.Lock()
	defer p.restarting.Unlock()
	p.mu.Lock()
	start, set, activations := p.start, p.settings, p.activations
	p.mu.Unlock()
	pr, err := p.prepare(ctx, start, set)
	if err != nil {
		return err
	}
	pr.restart, pr.background, pr.activations = true, background, activations
	return pr.Commit()
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
