package live

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
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// usagePool are all pools of this process, by name: they outlive the configs that
// use them, so that a reload costs no worker and no statistics.
var usagePool = caddy.NewUsagePool()

// Pool is one of them.
type Pool struct {
	Name   string
	Pool   *pool.Pool
	Spool  *spool.Spool
	logger *zap.Logger

	// LimitsClients: max_per_client is in force.
	LimitsClients atomic.Bool

	// ClientsClosed counts the requests whose client left before the end.
	ClientsClosed atomic.Uint64

	// changeMu is held while the pool is restarted or resized by request; it
	// is taken before mu.
	changeMu sync.Mutex

	// AdminINIDirs are those of spec: see covers.
	adminINIDirs atomic.Pointer[map[string]bool]

	mu sync.Mutex
	// Plan is what is in force, owner the config that it came with: none while
	// the pool has not been opened.
	plan  *poolcfg.Plan
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

	Sampler sampler
	OPcache *opcache.Cache

	// activeWarmups counts the warm-ups that are under way.
	activeWarmups atomic.Int32

	// closeCtx ends the time that running requests have at exit.
	closeCtx context.Context //nolint:containedctx // the pool's own lifetime
	closeNow context.CancelFunc
}

// staged is what takes effect when the config it came with comes to power.
type staged struct {
	app      owner
	plan     *poolcfg.Plan
	prepared *pool.Prepared // nil when the generation that runs will do
}

// LoadOrNew finds the pool of that name or makes it; it starts nothing.
func LoadOrNew(name string, s *poolcfg.Plan, logger *zap.Logger) (*Pool, error) {
	value, _, err := usagePool.LoadOrNew(name, func() (caddy.Destructor, error) {
		logger := PoolLogger(logger, name)
		p := New(pool.Config{
			Name: name, Start: s.Starter(logger), Settings: s.Settings, Logger: logger,
		}, spool.New(s.Options.SpoolDir, s.Options.SpoolMax), nil)
		RunningPools.add(p) // from here on others see it
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*Pool), nil
}

// New makes a pool that no config can find. It starts nothing. active is
// the plan that its settings come from, nil if no config has activated one yet.
func New(c pool.Config, bodies *spool.Spool, active *poolcfg.Plan) *Pool {
	l := &Pool{Name: c.Name, Spool: bodies, logger: c.Logger, plan: active, idle: make(chan struct{}, 1)}
	l.closeCtx, l.closeNow = context.WithCancel(context.Background())
	l.Pool = pool.New(c)
	l.OPcache = opcache.New(l.Pool, l.logger, l.opcacheScope, l.MissingPermission)
	return l
}

func PoolLogger(logger *zap.Logger, name string) *zap.Logger {
	return logger.Named("pool").With(zap.String("pool", name))
}

// Stage makes the pool ready for a config: it opens a new pool, or prepares
// what has to change in a running one. atRest lets it begin without a worker.
func (l *Pool) Stage(ctx context.Context, app owner, s *poolcfg.Plan, atRest bool) error {
	l.mu.Lock()
	current, owner := l.plan, l.owner
	l.mu.Unlock()
	if err := s.CheckUser(); err != nil {
		return err
	}
	next := &staged{app: app, plan: s}
	switch {
	case current != nil && current.Key == s.Key && l.Pool.HasCapacityFor(&s.Settings):
	case atRest:
		if err := s.CreateDirs(); err != nil {
			return err
		}
		next.prepared = l.Pool.PrepareIdle(s.Starter(l.logger), s.Settings)
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
func (l *Pool) activate() {
	if limit := l.activateStaged(); limit > 0 {
		ctx, cancel := context.WithTimeout(l.closeCtx, limit)
		defer cancel()
		l.Pool.WaitStable(ctx)
	}
}

// activateStaged makes what is staged the settings in force; it returns how long
// launches may take, 0 if nothing was staged.
func (l *Pool) activateStaged() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.staged
	if next == nil {
		return 0
	}
	l.staged = nil
	l.plan, l.owner = next.plan, next.app
	if poolcfg.ValueOr(l.plan.Options.Watch, false) {
		l.watchOnce.Do(func() { go l.watch() })
	}
	l.Spool.Configure(next.plan.Options.SpoolDir, next.plan.Options.SpoolMax)
	l.LimitsClients.Store(next.plan.Settings.MaxPerClient > 0)
	if next.prepared == nil {
		l.Pool.Configure(next.plan.Settings)
	} else if err := next.prepared.Commit(); err != nil {
		l.logger.Error("error activating the new generation", zap.Error(err))
	}
	l.adminINIDirs.Store(next.plan.AdminINIDirs()) // not before the new generation serves
	return next.plan.Settings.StartTimeout
}

// Unstage drops what a config had staged that did not come to power.
func (l *Pool) Unstage(app owner) {
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

// ConfigStopped is called when a config has stopped: the next one takes over.
func (l *Pool) ConfigStopped(from owner) {
	l.mu.Lock()
	owned := l.owner == from
	l.mu.Unlock()
	if owned {
		l.activate()
	}
}

// Resize gives the pool the size that its workers turned out to need, if the
// config is the one in force and the generation has room for it.
func (l *Pool) Resize(app owner, s *poolcfg.Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != app || l.plan == nil || s.Sizing == nil || s.Settings.MaxWorkers == l.plan.Settings.MaxWorkers ||
		l.plan.Options != s.Options || // resized by request
		!l.Pool.HasCapacityFor(&s.Settings) {
		return
	}
	l.logger.Info("pool resized", zap.Int("old_max", l.plan.Settings.MaxWorkers), zap.Int("new_max", s.Settings.MaxWorkers), zap.String("sizing", s.Sizing.Summary))
	l.plan = s
	l.Pool.Configure(s.Settings)
}

func (l *Pool) StopTimeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan == nil {
		return 0
	}
	return l.plan.Settings.StopTimeout
}

// User is who the workers run as; nil is Caddy's own user.
func (l *Pool) user() *poolcfg.UnixUser {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan == nil {
		return nil
	}
	return l.plan.User
}

// ForceClose ends the time of requests that still run.
func (l *Pool) ForceClose() {
	l.closeNow()
	l.Pool.Close(l.closeCtx) // Destruct logs what it returns
}

// Destruct ends the pool when no config uses it any more: in the background
// after a reload, when its last request is done; at once when Caddy exits.
func (l *Pool) Destruct() error {
	if !caddy.Exiting() {
		go func() {
			l.waitIdle()
			l.Close()
		}()
		return nil
	}
	time.AfterFunc(l.StopTimeout(), l.closeNow)
	l.Close()
	return nil
}

func (l *Pool) Close() {
	if err := l.Pool.Close(l.closeCtx); err != nil {
		l.logger.Warn("error closing the pool", zap.Error(err))
	}
	l.closeNow()
	l.OPcache.Close()
	RunningPools.remove(l)
}

// Acquire and leave are called around each request.
func (l *Pool) Acquire() { l.refs.Add(1) }

func (l *Pool) Release() {
	if l.refs.Add(-1) == 0 && l.closing.Load() {
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
}

// InUse returns how many requests are in the pool's handlers.
func (l *Pool) InUse() int64 { return l.refs.Load() }

// idleGrace is how long a pool that no config uses any more waits for requests
// of the old config that have not come as far as its handler.
const idleGrace = time.Second

// waitIdle waits until no request is in the pool, or its time is cut. The old
// config's HTTP server goes on serving what it has begun.
func (l *Pool) waitIdle() {
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
	set map[*Pool]bool
}

// RunningPools are all pools that have not ended, also those that no config
// uses any more: at exit the clock runs for them too.
var RunningPools = &poolSet{set: map[*Pool]bool{}}

func (s *poolSet) add(l *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[l] = true
}

func (s *poolSet) remove(l *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, l)
}

func (s *poolSet) All() []*Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}

// MissingPermission looks along the path for the first thing that the workers'
// user may not do; nil if the file modes forbid nothing.
func (l *Pool) MissingPermission(path string) error {
	who := l.user()
	if who == nil || who.UID == 0 {
		return nil
	}
	if err := who.CheckTraverse(path); err != nil {
		return err
	}
	return who.CheckMode(path, 4, "read (r)")
}

// All returns the pools that configs use, in any order.
func All() []*Pool {
	var all []*Pool
	usagePool.Range(func(_, value any) bool {
		all = append(all, value.(*Pool))
		return true
	})
	return all
}

// Leave gives up a config's use of a pool. The last one to leave closes it.
func Leave(name string) {
	usagePool.Delete(name) //nolint:errcheck // Destruct returns none
}

// Find finds a running pool by its name.
func Find(name string) *Pool {
	var found *Pool
	usagePool.Range(func(key, value any) bool {
		if key == name {
			found = value.(*Pool)
		}
		return found == nil
	})
	return found
}

// opcacheScope is who shares an OPcache; an error as long as the pool has not
// started.
func (l *Pool) opcacheScope() (opcache.Scope, error) {
	current, _ := l.Active()
	switch {
	case current == nil:
		return "", ErrNotStarted
	case current.Spawn == poolcfg.SpawnSingle && !opcache.SinglesShare:
		return opcache.ScopeWorker, nil
	}
	return opcache.ScopePool, nil
}
