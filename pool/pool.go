package pool

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Pool leases workers to requests. Make one with New, then Open it.
type Pool struct {
	name  string
	start Starter
	log   *zap.Logger

	// root ends when the pool is closed: it bounds launches and drains, which
	// belong to no caller.
	root   context.Context //nolint:containedctx // the pool's own lifetime
	cancel context.CancelCauseFunc
	// wake wakes the maintenance loop.
	wake        chan struct{}
	activitySem chan struct{} // full while a slow request is explained
	// restarting is held while a generation is begun; it is taken before mu.
	restarting sync.Mutex

	lastWorkerID atomic.Uint64

	// mu guards all below, every worker and every generation. Under it: no
	// I/O, no callback, no blocking send. Methods that need it end in Locked.
	mu       sync.Mutex
	settings Settings
	opened   bool
	closed   bool
	// tasks counts the goroutines of the pool; tasksDone is signaled when none
	// is left. A WaitGroup would not do: a request that outlives Close may start
	// a goroutine while Close waits.
	tasks       int
	tasksDone   sync.Cond
	gen         *generation // current; nil at rest and while one is begun
	lastGen     int
	activations int // how many generations became the current one
	// startPending: a generation is begun in the background.
	startPending   bool
	workers        map[uint64]*worker
	idle           []*worker // last in, first out
	inState        [states]int
	queue          waitQueue
	freeWaiters    []*waiter
	clients        map[netip.Addr]*clientLimit // of clients, where MaxPerClient bounds them
	deferred       int                         // requests that wait outside the line, with their shares
	starting       int                         // launches under way
	internalLeases int                         // busy ones that only answer the health probe, or Ask
	// launched, when it is there, is closed by the next launch that ends.
	launched chan struct{}
	// drained is closed when the last leased worker came back after Close.
	drained chan struct{}
	// done is closed when Close has done all, with what it returns.
	done     chan struct{}
	closeErr error

	failures   failures
	quarantine quarantine
	counters
}

// New makes a pool that has no worker yet; requests wait in line until Open
// has brought up the first ones.
func New(c Config) *Pool {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	p := &Pool{
		name: c.Name, start: c.Start, log: c.Logger, settings: c.Settings,
		wake: make(chan struct{}, 1), activitySem: make(chan struct{}, 1), workers: map[uint64]*worker{},
		drained: make(chan struct{}), done: make(chan struct{}),
	}
	p.tasksDone.L = &p.mu
	p.created = time.Now()
	p.root, p.cancel = context.WithCancelCause(context.Background())
	p.goLocked(p.maintain) // nobody else has p yet
	return p
}

// clock is the time since the pool was made: reading it costs half of what
// time.Now does, and every request reads it four times.
func (p *Pool) clock() time.Duration { return time.Since(p.created) }

// Name is the pool's name.
func (p *Pool) Name() string { return p.name }

// Open starts the first generation and returns when its first workers are
// ready: all of a static pool. A pool that is open stays as it is.
func (p *Pool) Open(ctx context.Context) error {
	p.mu.Lock()
	opened := p.opened
	p.mu.Unlock()
	if opened {
		return nil
	}
	return p.Restart(ctx)
}

// Ready says why a request that came now could not be served; nil means that it
// could, if only after waiting for its turn. A pool without workers is ready as
// long as nothing speaks against their launch.
func (p *Pool) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.countsLocked()
	switch {
	case p.closed:
		return ErrClosed
	case !p.opened:
		return errStarting
	case c.total() > c.starting:
		return nil
	}
	// The launch that is under way after one that failed is no proof yet.
	wait := p.failures.wait(time.Now())
	if wait == 0 && (p.failures.count == 0 || p.starting == 0 && !p.startPending) {
		return nil
	}
	return &LaunchError{Err: p.failures.cause(), RetryIn: wait}
}

// errStarting is for those that do not wait in line.
var errStarting = errors.New("the pool is starting")

// cause is why no worker can be had; there is none in err when they launch and
// then die.
func (f *failures) cause() error {
	if f.err != nil {
		return f.err
	}
	return errors.New("workers die as soon as they are launched")
}

// HasCapacityFor reports whether the generation that runs is large enough for the
// settings; else they need a new one (see Prepare).
func (p *Pool) HasCapacityFor(s *Settings) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gen == nil || !s.needsGeneration(p.gen.slots)
}

// Configure gives the live pool other settings. Above what Fits the generation
// the pool grows only with the next one.
func (p *Pool) Configure(s Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configureLocked(s)
	p.trimLocked(p.surplusLocked(), Closed)
	p.growLocked()
	p.wakeLocked()
}

// WaitStable waits until the workers that the settings ask for have been launched,
// or cannot be for the moment.
func (p *Pool) WaitStable(ctx context.Context) {
	for {
		p.mu.Lock()
		launching := p.starting > 0 || p.settings.missing(p.countsLocked()) > 0 && p.failures.wait(time.Now()) == 0
		if p.closed || !launching {
			p.mu.Unlock()
			return
		}
		if p.launched == nil {
			p.launched = make(chan struct{})
		}
		launched := p.launched
		p.mu.Unlock()
		select {
		case <-launched:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Pool) configureLocked(s Settings) {
	p.settings = s
	if s.Deaths == 0 {
		clear(p.quarantine.until)
		p.quarantine.count.Store(0)
	}
	for _, w := range p.workers {
		w.maxRequests = s.drawMaxRequests()
	}
	for _, cl := range p.clients {
		p.admitDeferredLocked(cl)
	}
}

// Close ends the pool: who waits is refused, requests that run may finish
// until ctx ends, then everything is ended. It returns when no process and no
// goroutine of the pool is left.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.done
		return p.closeErr
	}
	p.closed = true
	for _, cl := range p.clients {
		for wt := cl.deferred.pop(); wt != nil; wt = cl.deferred.pop() {
			p.deferred--
			wt.err = ErrClosed
			wt.notify()
		}
	}
	for wt := p.queue.pop(); wt != nil; wt = p.queue.pop() {
		p.rejectWaitersLocked(wt, ErrClosed)
	}
	p.checkDrainedLocked()
	p.mu.Unlock()

	var timeoutErr error
	select {
	case <-p.drained:
	case <-ctx.Done():
		timeoutErr = errors.New("requests still ran when the pool's time to stop was over")
	}
	p.cancel(ErrClosed)
	err := p.closeGenerations(ctx)
	p.waitTasks()
	p.closeErr = errors.Join(timeoutErr, err)
	close(p.done)
	return p.closeErr
}

// checkDrainedLocked closes p.quiet when a closed pool has no request left.
func (p *Pool) checkDrainedLocked() {
	if !p.closed {
		return
	}
	if p.inState[Busy] > 0 {
		return
	}
	select {
	case <-p.drained:
	default:
		close(p.drained)
	}
}

// closeGenerations ends the current generation with all its workers, and with
// them those of older ones that still ran.
func (p *Pool) closeGenerations(ctx context.Context) error {
	// No generation is begun any more once restarting has been had.
	p.restarting.Lock()
	defer p.restarting.Unlock()
	p.mu.Lock()
	var launchers []Launcher
	seen := map[*generation]bool{}
	markClosing := func(g *generation) {
		if g != nil && !seen[g] {
			seen[g] = true
			g.retired, g.closing = true, true
			launchers = append(launchers, g.launcher)
		}
	}
	markClosing(p.gen)
	for _, w := range p.workers {
		markClosing(w.gen)
		if w.state == Busy {
			// Its reader must not wait for a process that is about to go.
			w.conn.Interrupt(ErrClosed)
		}
		if w.reason == NoReason {
			w.reason = Closed
		}
	}
	for _, w := range p.idle {
		p.moveLocked(w, Stopping)
	}
	p.idle = nil
	p.gen = nil
	p.mu.Unlock()

	errs := make([]error, len(launchers))
	var wg sync.WaitGroup
	for i, l := range launchers {
		wg.Go(func() { errs[i] = l.Close(ctx) })
	}
	wg.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workersLocked() {
		if w.state == Stopping {
			p.removeLocked(w, w.reason)
		}
	}
	return errors.Join(errs...)
}

// workersLocked is a copy, for loops that change the map.
func (p *Pool) workersLocked() []*worker {
	all := make([]*worker, 0, len(p.workers))
	for _, w := range p.workers {
		all = append(all, w)
	}
	return all
}

// goLocked runs f as a task of the pool, which Close waits for.
func (p *Pool) goLocked(f func()) {
	p.tasks++
	go func() {
		f()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.tasks--; p.tasks == 0 {
			p.tasksDone.Broadcast()
		}
	}()
}

// waitTasks waits until no task is left. Only Close does.
func (p *Pool) waitTasks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.tasks > 0 {
		p.tasksDone.Wait()
	}
}

// logLocked logs without the mutex: a log that blocks must not stop the leases.
func (p *Pool) logLocked(write func(string, ...zap.Field), message string, fields ...zap.Field) {
	p.goLocked(func() { write(message, fields...) })
}

func (p *Pool) wakeLocked() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
