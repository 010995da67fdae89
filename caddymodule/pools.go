package caddymodule

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// pools are all pools of this process, by name: they outlive the configs that
// use them, so that a reload costs no worker and no statistics.
var pools = caddy.NewUsagePool()

// livePool is one of them.
type livePool struct {
	name   string
	pool   *pool.Pool
	spool  *spool.Spool
	logger *zap.Logger

	// perClient: max_per_client is in force.
	perClient atomic.Bool

	// clientsGone counts the requests whose client left before the end.
	clientsGone atomic.Uint64

	// changing is held while the pool is restarted or resized by request; it
	// is taken before mu.
	changing sync.Mutex

	// adminDirs are those of spec: see covers.
	adminDirs atomic.Pointer[map[string]bool]

	mu sync.Mutex
	// spec is what is in force, owner the config that it came with: none while
	// the pool has not been opened.
	spec  *spec
	owner *App
	// next is what a config that is being loaded wants.
	next *staged
	// watching begins when a config first asks for it.
	watching sync.Once
	// users counts the requests that are in this pool's handlers, from their
	// first look at the script to the last byte; unused wakes who waits for
	// the last of them.
	users   atomic.Int64
	leaving atomic.Bool
	unused  chan struct{}

	sampler sampler
	opcache *opcache.Cache

	// warming counts the warm-ups that are under way.
	warming atomic.Int32

	// cut ends the time that running requests have at exit.
	cut  context.Context //nolint:containedctx // the pool's own lifetime
	stop context.CancelFunc
}

// staged is what takes effect when the config it came with comes to power.
type staged struct {
	app      *App
	spec     *spec
	prepared *pool.Prepared // nil when the generation that runs will do
}

// joinPool finds the pool of that name or makes it; it starts nothing.
func joinPool(name string, s *spec, logger *zap.Logger) (*livePool, error) {
	value, _, err := pools.LoadOrNew(name, func() (caddy.Destructor, error) {
		live := &livePool{
			name: name, spool: spool.New(s.options.SpoolDir, s.options.SpoolMax),
			logger: poolLogger(logger, name),
		}
		live.unused = make(chan struct{}, 1)
		live.cut, live.stop = context.WithCancel(context.Background())
		live.pool = pool.New(pool.Config{
			Name: name, Start: s.starter(live.logger), Settings: s.settings, Logger: live.logger,
		})
		live.opcache = opcache.New(live.pool, live.logger, live.opcacheScope, live.missingPermission)
		runningPools.add(live) // from here on others see it
		return live, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*livePool), nil
}

func poolLogger(logger *zap.Logger, name string) *zap.Logger {
	return logger.Named("pool").With(zap.String("pool", name))
}

// stage makes the pool ready for a config: it opens a new pool, or prepares
// what has to change in a running one. atRest lets it begin without a worker.
func (l *livePool) stage(ctx context.Context, app *App, s *spec, atRest bool) error {
	l.mu.Lock()
	current, owner := l.spec, l.owner
	l.mu.Unlock()
	if err := s.checkUser(); err != nil {
		return err
	}
	next := &staged{app: app, spec: s}
	switch {
	case current != nil && current.key == s.key && l.pool.HasCapacityFor(&s.settings):
	case atRest:
		if err := s.furnish(); err != nil {
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
	l.next = next
	l.mu.Unlock()
	if owner == nil {
		l.commit()
	}
	return nil
}

// commit puts what is staged in force, and waits for the workers that it asks
// for: the load that brought it has not ended yet.
func (l *livePool) commit() {
	if limit := l.takeNext(); limit > 0 {
		ctx, cancel := context.WithTimeout(l.cut, limit)
		defer cancel()
		l.pool.WaitStable(ctx)
	}
}

// takeNext makes what is staged the settings in force; it returns how long
// launches may take, 0 if nothing was staged.
func (l *livePool) takeNext() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.next
	if next == nil {
		return 0
	}
	l.next = nil
	l.spec, l.owner = next.spec, next.app
	if deref(l.spec.options.Watch, false) {
		l.watching.Do(func() { go l.watch() })
	}
	l.spool.Configure(next.spec.options.SpoolDir, next.spec.options.SpoolMax)
	l.perClient.Store(next.spec.settings.MaxPerClient > 0)
	if next.prepared == nil {
		l.pool.Configure(next.spec.settings)
	} else if err := next.prepared.Commit(); err != nil {
		l.logger.Error("switching to the new generation", zap.Error(err))
	}
	l.adminDirs.Store(next.spec.adminDirs()) // not before the new generation serves
	return next.spec.settings.StartTimeout
}

// unstage drops what a config had staged that did not come to power.
func (l *livePool) unstage(app *App) {
	l.mu.Lock()
	next := l.next
	if next == nil || next.app != app {
		l.mu.Unlock()
		return
	}
	l.next = nil
	l.mu.Unlock()
	if next.prepared != nil {
		next.prepared.Discard()
	}
}

// handOver is called when a config has stopped: the next one takes over.
func (l *livePool) handOver(from *App) {
	l.mu.Lock()
	owned := l.owner == from
	l.mu.Unlock()
	if owned {
		l.commit()
	}
}

// resize gives the pool the size that its workers turned out to need, if the
// config is the one in force and the generation has room for it.
func (l *livePool) resize(app *App, s *spec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != app || l.spec == nil || s.sizing == nil || s.settings.MaxWorkers == l.spec.settings.MaxWorkers ||
		l.spec.options != s.options || // resized by request
		!l.pool.HasCapacityFor(&s.settings) {
		return
	}
	l.logger.Info("resizing", zap.Int("from", l.spec.settings.MaxWorkers), zap.String("sizing", s.sizing.Text))
	l.spec = s
	l.pool.Configure(s.settings)
}

func (l *livePool) stopTimeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spec == nil {
		return 0
	}
	return l.spec.settings.StopTimeout
}

// identity is who the workers run as; nil is Caddy's own user.
func (l *livePool) identity() *identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spec == nil {
		return nil
	}
	return l.spec.who
}

// cutShort ends the time of requests that still run.
func (l *livePool) cutShort() {
	l.stop()
	l.pool.Close(l.cut) // Destruct logs what it returns
}

// Destruct ends the pool when no config uses it any more: in the background
// after a reload, when its last request is done; at once when Caddy exits.
func (l *livePool) Destruct() error {
	if !caddy.Exiting() {
		go func() {
			l.waitUnused()
			l.close()
		}()
		return nil
	}
	time.AfterFunc(l.stopTimeout(), l.stop)
	l.close()
	return nil
}

func (l *livePool) close() {
	if err := l.pool.Close(l.cut); err != nil {
		l.logger.Warn("closing the pool", zap.Error(err))
	}
	l.stop()
	l.opcache.Close()
	runningPools.remove(l)
}

// enter and leave are called around each request.
func (l *livePool) enter() { l.users.Add(1) }

func (l *livePool) leave() {
	if l.users.Add(-1) == 0 && l.leaving.Load() {
		select {
		case l.unused <- struct{}{}:
		default:
		}
	}
}

// lastCall is how long a pool that no config uses any more waits for requests
// of the old config that have not come as far as its handler.
const lastCall = time.Second

// waitUnused waits until no request is in the pool, or its time is cut. The old
// config's HTTP server goes on serving what it has begun.
func (l *livePool) waitUnused() {
	l.leaving.Store(true)
	timer := time.NewTimer(lastCall)
	defer timer.Stop()
	for {
		select {
		case <-l.cut.Done():
			return
		case <-l.unused:
			timer.Reset(lastCall)
		case <-timer.C:
			if l.users.Load() == 0 {
				return
			}
			timer.Reset(lastCall)
		}
	}
}

// poolSet is a set of pools.
type poolSet struct {
	mu  sync.Mutex
	set map[*livePool]bool
}

// runningPools are all pools that have not ended, also those that no config
// uses any more: at exit the clock runs for them too.
var runningPools = &poolSet{set: map[*livePool]bool{}}

func (s *poolSet) add(l *livePool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[l] = true
}

func (s *poolSet) remove(l *livePool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, l)
}

func (s *poolSet) all() []*livePool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}
