package caddymodule

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// usagePool are all pools of this process, by name: they outlive the configs that
// use them, so that a reload costs no worker and no statistics.
var usagePool = caddy.NewUsagePool()

// managedPool is one of them.
type managedPool struct {
	name   string
	pool   *pool.Pool
	spool  *spool.Spool
	logger *zap.Logger

	// limitsClients: max_per_client is in force.
	limitsClients atomic.Bool

	// clientsClosed counts the requests whose client left before the end.
	clientsClosed atomic.Uint64

	// changeMu is held while the pool is restarted or resized by request; it
	// is taken before mu.
	changeMu sync.Mutex

	// adminINIDirs are those of spec: see covers.
	adminINIDirs atomic.Pointer[map[string]bool]

	mu sync.Mutex
	// plan is what is in force, owner the config that it came with: none while
	// the pool has not been opened.
	plan  *plan
	owner owner
	// staged is what a config that is being loaded wants.
	staged *staged
	// watchOnce begins when a config first asks for it.
	watchOnce sync.Once
	// refs counts the requests that are in this pool's handlers, from their
	// first look at the script to the last byte; unused wakes who waits for
	// the last of them.
	refs    atomic.Int64
	closing atomic.Bool
	idle    chan struct{}

	sampler sampler
	opcache *opcache.Cache

	// activeWarmups counts the warm-ups that are under way.
	activeWarmups atomic.Int32

	// closeCtx ends the time that running requests have at exit.
	closeCtx context.Context //nolint:containedctx // the pool's own lifetime
	closeNow context.CancelFunc
}

// staged is what takes effect when the config it came with comes to power.
type staged struct {
	app      owner
	plan     *plan
	prepared *pool.Prepared // nil when the generation that runs will do
}

// loadOrNew finds the pool of that name or makes it; it starts nothing.
func loadOrNew(name string, s *plan, logger *zap.Logger) (*managedPool, error) {
	value, _, err := usagePool.LoadOrNew(name, func() (caddy.Destructor, error) {
		logger := poolLogger(logger, name)
		p := newManagedPool(pool.Config{
			Name: name, Start: s.starter(logger), Settings: s.settings, Logger: logger,
		}, spool.New(s.options.SpoolDir, s.options.SpoolMax), nil)
		runningPools.add(p) // from here on others see it
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*managedPool), nil
}

// newManagedPool makes a pool that no config can find. It starts nothing. active is
// the plan that its settings come from, nil if no config has activated one yet.
func newManagedPool(c pool.Config, bodies *spool.Spool, active *plan) *managedPool {
	l := &managedPool{name: c.Name, spool: bodies, logger: c.Logger, plan: active, idle: make(chan struct{}, 1)}
	l.closeCtx, l.closeNow = context.WithCancel(context.Background())
	l.pool = pool.New(c)
	l.opcache = opcache.New(l.pool, l.logger, l.opcacheScope, l.missingPermission)
	return l
}

func poolLogger(logger *zap.Logger, name string) *zap.Logger {
	return logger.Named("pool").With(zap.String("pool", name))
}

// stage makes the pool ready for a config: it opens a new pool, or prepares
// what has to change in a running one. atRest lets it begin without a worker.
func (l *managedPool) stage(ctx context.Context, app owner, s *plan, atRest bool) error {
	l.mu.Lock()
	current, owner := l.plan, l.owner
	l.mu.Unlock()
	if err := s.checkUser(); err != nil {
		return err
	}
	next := &staged{app: app, plan: s}
	switch {
	case current != nil && current.key == s.key && l.pool.HasCapacityFor(&s.settings):
	case atRest:
		if err := s.createDirs(); err != nil {
			return err
		}
		next.prepared = l.pool.PrepareIdle(s.starter(l.logger), s.settings)
	default:
		var err error
		if next.prepared, err = l.prepare(ctx, app, s); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.staged = next
	l.mu.Unlock()
	if owner == nil {
		l.activate()
	}
	return nil
}

// activate puts what is staged in force, and waits for the workers that it asks
// for: the load that brought it has not ended yet.
func (l *managedPool) activate() {
	if limit := l.activateStaged(); limit > 0 {
		ctx, cancel := context.WithTimeout(l.closeCtx, limit)
		defer cancel()
		l.pool.WaitStable(ctx)
	}
}

// activateStaged makes what is staged the settings in force; it returns how long
// launches may take, 0 if nothing was staged.
func (l *managedPool) activateStaged() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.staged
	if next == nil {
		return 0
	}
	l.staged = nil
	l.plan, l.owner = next.plan, next.app
	if valueOr(l.plan.options.Watch, false) {
		l.watchOnce.Do(func() { go l.watch() })
	}
	l.spool.Configure(next.plan.options.SpoolDir, next.plan.options.SpoolMax)
	l.limitsClients.Store(next.plan.settings.MaxPerClient > 0)
	if next.prepared == nil {
		l.pool.Configure(next.plan.settings)
	} else if err := next.prepared.Commit(); err != nil {
		l.logger.Error("error activating the new generation", zap.Error(err))
	}
	l.adminINIDirs.Store(next.plan.adminINIDirs()) // not before the new generation serves
	return next.plan.settings.StartTimeout
}

// unstage drops what a config had staged that did not come to power.
func (l *managedPool) unstage(app owner) {
	l.mu.Lock()
	next := l.staged
	if next == nil || next.app != app {
		l.mu.Unlock()
		return
	}
	l.staged = nil
	l.mu.Unlock()
	if next.prepared != nil {
		next.prepared.Discard()
	}
}

// configStopped is called when a config has stopped: the next one takes over.
func (l *managedPool) configStopped(from owner) {
	l.mu.Lock()
	owned := l.owner == from
	l.mu.Unlock()
	if owned {
		l.activate()
	}
}

// resize gives the pool the size that its workers turned out to need, if the
// config is the one in force and the generation has room for it.
func (l *managedPool) resize(app owner, s *plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != app || l.plan == nil || s.sizing == nil || s.settings.MaxWorkers == l.plan.settings.MaxWorkers ||
		l.plan.options != s.options || // resized by request
		!l.pool.HasCapacityFor(&s.settings) {
		return
	}
	l.logger.Info("pool resized", zap.Int("old_max", l.plan.settings.MaxWorkers), zap.Int("new_max", s.settings.MaxWorkers), zap.String("sizing", s.sizing.Summary))
	l.plan = s
	l.pool.Configure(s.settings)
}

func (l *managedPool) stopTimeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan == nil {
		return 0
	}
	return l.plan.settings.StopTimeout
}

// user is who the workers run as; nil is Caddy's own user.
func (l *managedPool) user() *unixUser {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan == nil {
		return nil
	}
	return l.plan.user
}

// forceClose ends the time of requests that still run.
func (l *managedPool) forceClose() {
	l.closeNow()
	l.pool.Close(l.closeCtx) // Destruct logs what it returns
}

// Destruct ends the pool when no config uses it any more: in the background
// after a reload, when its last request is done; at once when Caddy exits.
func (l *managedPool) Destruct() error {
	if !caddy.Exiting() {
		go func() {
			l.waitIdle()
			l.close()
		}()
		return nil
	}
	time.AfterFunc(l.stopTimeout(), l.closeNow)
	l.close()
	return nil
}

func (l *managedPool) close() {
	if err := l.pool.Close(l.closeCtx); err != nil {
		l.logger.Warn("error closing the pool", zap.Error(err))
	}
	l.closeNow()
	l.opcache.Close()
	runningPools.remove(l)
}

// acquire and leave are called around each request.
func (l *managedPool) acquire() { l.refs.Add(1) }

func (l *managedPool) release() {
	if l.refs.Add(-1) == 0 && l.closing.Load() {
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
}

// inUse returns how many requests are in the pool's handlers.
func (l *managedPool) inUse() int64 { return l.refs.Load() }

// idleGrace is how long a pool that no config uses any more waits for requests
// of the old config that have not come as far as its handler.
const idleGrace = time.Second

// waitIdle waits until no request is in the pool, or its time is cut. The old
// config's HTTP server goes on serving what it has begun.
func (l *managedPool) waitIdle() {
	l.closing.Store(true)
	timer := time.NewTimer(idleGrace)
	defer timer.Stop()
	for {
		select {
		case <-l.closeCtx.Done():
			return
		case <-l.idle:
			timer.Reset(idleGrace)
		case <-timer.C:
			if l.refs.Load() == 0 {
				return
			}
			timer.Reset(idleGrace)
		}
	}
}

// owner is the app of the config that a pool's settings come from. Owners are
// compared by identity.
type owner interface {
	// HTTPApp returns the HTTP app of the same config.
	HTTPApp() (*caddyhttp.App, error)
}

// poolSet is a set of pools.
type poolSet struct {
	mu  sync.Mutex
	set map[*managedPool]bool
}

// runningPools are all pools that have not ended, also those that no config
// uses any more: at exit the clock runs for them too.
var runningPools = &poolSet{set: map[*managedPool]bool{}}

func (s *poolSet) add(l *managedPool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[l] = true
}

func (s *poolSet) remove(l *managedPool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, l)
}

func (s *poolSet) all() []*managedPool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}

// missingPermission looks along the path for the first thing that the workers'
// user may not do; nil if the file modes forbid nothing.
func (l *managedPool) missingPermission(path string) error {
	who := l.user()
	if who == nil || who.uid == 0 {
		return nil
	}
	if err := who.checkTraverse(path); err != nil {
		return err
	}
	return who.checkMode(path, 4, "read (r)")
}

// allPools returns the pools that configs use, in any order.
func allPools() []*managedPool {
	var all []*managedPool
	usagePool.Range(func(_, value any) bool {
		all = append(all, value.(*managedPool))
		return true
	})
	return all
}

// leavePool gives up a config's use of a pool. The last one to leave closes it.
func leavePool(name string) {
	usagePool.Delete(name) //nolint:errcheck // Destruct returns none
}

// findPool finds a running pool by its name.
func findPool(name string) *managedPool {
	var found *managedPool
	usagePool.Range(func(key, value any) bool {
		if key == name {
			found = value.(*managedPool)
		}
		return found == nil
	})
	return found
}

// opcacheScope is who shares an OPcache; an error as long as the pool has not
// started.
func (l *managedPool) opcacheScope() (opcache.Scope, error) {
	current, _ := l.active()
	switch {
	case current == nil:
		return "", errNotStarted
	case current.spawn == spawnSingle && !opcache.SinglesShare:
		return opcache.OfWorker, nil
	}
	return opcache.OfPool, nil
}
