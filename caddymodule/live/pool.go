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

// Pool is a running pool: its workers and everything that belongs to them and
// outlives a config.
type Pool struct {
	Name string
	Pool *pool.Pool
	// Spool holds request bodies that are too large for memory.
	Spool   *spool.Spool
	OPcache *opcache.Cache
	Sampler Sampler
	// History is that of the last hour.
	History History

	// LimitsClients reports whether the active settings have max_per_client.
	LimitsClients atomic.Bool
	// ClientsClosed counts requests whose client disconnected before the
	// response was complete.
	ClientsClosed atomic.Uint64
	// ServerErrors counts responses of PHP with a status of 5xx.
	ServerErrors atomic.Uint64

	// UntoldHTTPS reports that a trusted proxy has passed on a request by https, and PHP
	// has seen http, because trust_forwarded is off.
	UntoldHTTPS atomic.Bool

	drained atomic.Bool // see SetDrained

	logger *zap.Logger

	// changeMu is held during Restart and Scale, which may take as long as a
	// start of PHP. Lock it before mu.
	changeMu sync.Mutex

	mu sync.Mutex // guards plan, owner and staged
	// plan has the active settings, owner the app that brought them. Both are
	// nil until the first activation.
	plan   *poolcfg.Plan
	owner  Owner
	staged *staged // nil unless a config is being loaded

	// adminINIDirs are those of the plan; see CheckAdminINI.
	adminINIDirs atomic.Pointer[map[string]bool]

	// watchOnce starts watch when the first config with the option is active.
	watchOnce sync.Once
	// followOnce starts follow when the first config with a worker script is active.
	// resets has a value if OPcache is to be reset: see resetRequested.
	followOnce sync.Once
	resets     chan struct{}
	// refs counts the requests in this pool's handlers, from the lookup of the
	// script to the last byte of the response. Once closing is set, idle
	// receives a value each time that refs drops to 0.
	refs    atomic.Int64
	closing atomic.Bool
	idle    chan struct{}

	// closeCtx is canceled when running requests may continue no longer.
	closeCtx context.Context //nolint:containedctx // the pool's own lifetime
	closeNow context.CancelFunc
}

// New returns a pool that is not in the registry. It starts no worker. active is
// the plan that the settings come from, nil if no config has activated one yet.
func New(c pool.Config, bodies *spool.Spool, active *poolcfg.Plan) *Pool {
	p := &Pool{Name: c.Name, Spool: bodies, logger: c.Logger, plan: active, idle: make(chan struct{}, 1), resets: make(chan struct{}, 1)}
	p.closeCtx, p.closeNow = context.WithCancel(context.Background())
	p.Pool = pool.New(c)
	p.OPcache = opcache.New(p.Pool, p.logger, p.opcacheScope, p.MissingPermission)
	return p
}

// PoolLogger returns the logger for a pool's messages.
func PoolLogger(logger *zap.Logger, name string) *zap.Logger {
	return logger.Named("pool").With(zap.String("pool", name))
}

// Active returns the active settings and the app that brought them. Both are nil
// while the pool has not started.
func (p *Pool) Active() (*poolcfg.Plan, Owner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan, p.owner
}

// StopTimeout returns stop_timeout of the active settings, 0 if the pool has not
// started.
func (p *Pool) StopTimeout() time.Duration {
	plan, _ := p.Active()
	if plan == nil {
		return 0
	}
	return plan.Settings.StopTimeout
}

// MissingPermission reports the first file mode on the path that keeps the
// workers' user from reading the file, or why confine does. It returns nil if there is
// no such mode, and if PHP runs as root or as Caddy's user.
func (p *Pool) MissingPermission(path string) error {
	plan, _ := p.Active()
	if plan == nil {
		return nil
	}
	if err := plan.CheckConfined(path); err != nil || plan.User == nil || plan.User.UID == 0 {
		return err
	}
	if err := plan.User.CheckTraverse(path); err != nil {
		return err
	}
	return plan.User.CheckMode(path, 4, "read (r)")
}

// opcacheScope returns which workers share an OPcache. The error is ErrNotStarted, or
// that of opcache.Traced.
func (p *Pool) opcacheScope() (opcache.Scope, error) {
	plan, _ := p.Active()
	switch {
	case plan == nil:
		return "", ErrNotStarted
	case plan.Binary != nil && len(plan.Binary.Tracers) > 0:
		return "", opcache.Traced(plan.Binary.Tracers)
	case plan.Spawn == poolcfg.SpawnSingle && !opcache.SinglesShare:
		return opcache.ScopeWorker, nil
	}
	return opcache.ScopePool, nil
}
