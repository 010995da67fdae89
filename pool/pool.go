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

// Pool leases workers to requests. Create one with [New], then [Pool.Open] it.
type Pool struct {
	name  string
	start Starter
	log   *zap.Logger

	// root is canceled when the pool is closed. It limits launches and drains, which
	// belong to no caller.
	root   context.Context //nolint:containedctx // the pool's own lifetime
	cancel context.CancelCauseFunc
	// wake wakes the maintenance loop.
	wake        chan struct{}
	activitySem chan struct{} // held while the activity of a process is read
	// restarting serializes the start of generations. Lock it before mu.
	restarting sync.Mutex

	lastWorkerID atomic.Uint64

	total  *TotalLimit // nil means no limit
	demand demand      // guarded by total.mu

	// mu guards everything below, every worker and every generation. While it is
	// held: no I/O, no callback, no blocking send. Methods that need it end in Locked.
	mu       sync.Mutex
	settings Settings
	opened   bool
	closed   bool
	// tasks counts the goroutines of the pool; tasksDone is signaled when none
	// is left. A WaitGroup would not do: a request that outlives Close may start
	// a goroutine while Close waits.
	tasks       int
	tasksDone   sync.Cond
	gen         *generation // current; nil if there are no workers or the next one is starting
	lastGen     int
	activations int // number of generations that became current
	// startPending is set while a generation is started in the background.
	startPending bool
	// replacing is set from the failure of a generation until the next one is active.
	replacing      bool
	workers        map[uint64]*worker
	idle           []*worker // used as a stack: last in, first out
	inState        [states]int
	queue          waitQueue
	freeWaiters    []*waiter
	clients        map[netip.Addr]*clientLimit // only clients with requests, and only with MaxPerClient
	deferred       int                         // number of requests deferred by MaxPerClient
	starting       int                         // launches in progress
	internalLeases int                         // workers that are busy with a health check or a query
	countedStarts  int                         // launches that total counts for the generation that is being started
	limited        bool                        // total does not allow all launches that are needed
	limitLogged    time.Duration               // when the log said so last, on the pool's clock; 0 means never
	// launched, if not nil, is closed when the next launch has ended.
	launched chan struct{}
	// drained is closed when the pool is closed and no worker is leased.
	drained chan struct{}
	// done is closed when Close has finished; closeErr is its result.
	done     chan struct{}
	closeErr error

	failures   failures
	quarantine quarantine
	counters
}

// New returns a pool without workers. Requests wait until Open has started the
// first ones.
func New(c Config) *Pool {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	p := &Pool{
		name: c.Name, start: c.Start, log: c.Logger, settings: c.Settings, total: c.Total,
		wake: make(chan struct{}, 1), activitySem: make(chan struct{}, 1), workers: map[uint64]*worker{},
		drained: make(chan struct{}), done: make(chan struct{}),
	}
	p.tasksDone.L = &p.mu
	p.created = time.Now()
	p.root, p.cancel = context.WithCancelCause(context.Background())
	p.total.join(p)
	p.goLocked(p.maintain) // no lock needed: nothing else has p yet
	return p
}

// clock returns the time since the pool was created. It is cheaper than time.Now,
// and every request reads it four times.
func (p *Pool) clock() time.Duration { return time.Since(p.created) }

// Name returns the name of the pool.
func (p *Pool) Name() string { return p.name }

// Open starts the first generation and returns when its initial workers are
// ready: all of a static pool, see [Size]. It does nothing if the pool is open.
func (p *Pool) Open(ctx context.Context) error {
	p.mu.Lock()
	opened := p.opened
	p.mu.Unlock()
	if opened {
		return nil
	}
	return p.Restart(ctx)
}

// Ready reports why a request could not be served now; nil means that it could,
// though it may have to wait. A pool without workers is ready unless the last
// launch failed.
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
	// A launch in progress after a failed one does not prove anything yet.
	wait := p.failures.wait(time.Now())
	if wait == 0 && (p.failures.count == 0 || p.starting == 0 && !p.startPending) {
		return nil
	}
	return &LaunchError{Err: p.failures.cause(), RetryIn: wait}
}

// errStarting is the result of Ready before the pool is open.
var errStarting = errors.New("pool is starting")

// cause returns why no worker is available. err is nil if workers start and then
// exit.
func (f *failures) cause() error {
	if f.err != nil {
		return f.err
	}
	return errors.New("workers exit immediately after launch")
}

// HasCapacityFor reports whether the current generation has enough slots for the
// settings. If not, they need a new generation, see [Pool.Prepare].
func (p *Pool) HasCapacityFor(s *Settings) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gen == nil || !s.needsGeneration(p.gen.slots)
}

// Configure changes the settings of the running pool. It cannot exceed the slots
// of the current generation, see [Pool.HasCapacityFor].
func (p *Pool) Configure(s Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configureLocked(s)
	p.trimLocked(p.surplusLocked(), Closed)
	p.growLocked()
	p.wakeLocked()
}

// WaitStable waits until the pool has launched the workers that its settings require
// and the TotalLimit allows, a launch has failed, or ctx is done.
func (p *Pool) WaitStable(ctx context.Context) {
	for {
		p.mu.Lock()
		launching := p.starting > 0 || p.settings.missing(p.countsLocked()) > 0 && p.failures.wait(time.Now()) == 0 && !p.limited
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
	if s.Crashes == 0 {
		clear(p.quarantine.records)
		p.quarantine.count.Store(0)
	}
	for _, w := range p.workers {
		w.maxRequests = s.drawMaxRequests()
	}
	for _, cl := range p.clients {
		p.admitDeferredLocked(cl)
	}
}

// Close closes the pool. It rejects waiting requests, lets running ones finish
// until ctx is done, then stops all processes. It returns when no process and no
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
		p.rejectWaiterLocked(wt, ErrClosed)
	}
	p.checkDrainedLocked()
	p.mu.Unlock()

	var timeoutErr error
	select {
	case <-p.drained:
	case <-ctx.Done():
		timeoutErr = errors.New("stop timeout exceeded with requests still running")
	}
	p.cancel(ErrClosed)
	err := p.closeGenerations(ctx)
	p.waitTasks()
	p.total.leave(p)
	p.closeErr = errors.Join(timeoutErr, err)
	close(p.done)
	return p.closeErr
}

// checkDrainedLocked closes p.drained if the pool is closed and no worker is leased.
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

// closeGenerations closes the launchers of the current generation and of older
// ones that still have workers, which stops all processes.
func (p *Pool) closeGenerations(ctx context.Context) error {
	// Once we hold restarting, no generation can start any more.
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
			// The reader of the response must not wait for a process that is being stopped.
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

// workersLocked returns a copy of the map's values, for loops that change the map.
func (p *Pool) workersLocked() []*worker {
	all := make([]*worker, 0, len(p.workers))
	for _, w := range p.workers {
		all = append(all, w)
	}
	return all
}

// goLocked runs f in a goroutine that Close waits for.
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

// waitTasks waits until no goroutine of the pool is left. Only Close calls it.
func (p *Pool) waitTasks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.tasks > 0 {
		p.tasksDone.Wait()
	}
}

// logLocked logs in a goroutine, because a slow log must not block leases.
func (p *Pool) logLocked(write func(string, ...zap.Field), message string, fields ...zap.Field) {
	p.goLocked(func() { write(message, fields...) })
}

func (p *Pool) wakeLocked() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
