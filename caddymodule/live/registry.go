package live

import (
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// usagePool has the pools that configs use, by name. They outlive the configs,
// so that a reload neither replaces workers nor resets statistics.
var usagePool = caddy.NewUsagePool()

// LoadOrNew returns the pool with that name, and creates it if it does not exist.
// It starts no worker. Each call needs a call of [Leave] with the same name.
func LoadOrNew(name string, plan *poolcfg.Plan, logger *zap.Logger) (*Pool, error) {
	value, _, err := usagePool.LoadOrNew(name, func() (caddy.Destructor, error) {
		logger := PoolLogger(logger, name)
		var p *Pool
		p = New(pool.Config{
			Name: name, Start: plan.Starter(logger, func() { p.resetRequested() }), Settings: plan.Settings, Logger: logger, Total: total,
		}, spool.New(plan.Options.SpoolDir, plan.Options.SpoolMax), nil)
		RunningPools.add(p) // before any config can start it
		go p.recordHistory()
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*Pool), nil
}

// Leave ends a config's use of a pool. The last config to leave closes the pool.
func Leave(name string) {
	usagePool.Delete(name) //nolint:errcheck // Destruct returns no error
}

// All returns the pools that configs use, in no particular order.
func All() []*Pool {
	var all []*Pool
	usagePool.Range(func(_, value any) bool {
		all = append(all, value.(*Pool))
		return true
	})
	return all
}

// Find returns the pool with that name, nil if no config uses one.
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

// RunningPools has all pools that are not closed yet, including those that no
// config uses any more: when Caddy exits, the stop timeout applies to them too.
var RunningPools = &poolSet{set: map[*Pool]bool{}}

// poolSet is a set of pools, safe for concurrent use.
type poolSet struct {
	mu  sync.Mutex
	set map[*Pool]bool
}

func (s *poolSet) add(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[p] = true
}

func (s *poolSet) remove(p *Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, p)
}

// All returns the pools of the set, in no particular order.
func (s *poolSet) All() []*Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}
