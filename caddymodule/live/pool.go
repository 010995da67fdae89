package live

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

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

// Active is what the pool runs by, and the config that it came with.
func (l *Pool) Active() (*poolcfg.Plan, owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plan, l.owner
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
