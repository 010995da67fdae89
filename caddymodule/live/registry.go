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

// usagePool are all pools of this process, by name: they outlive the configs that
// use them, so that a reload costs no worker and no statistics.
var usagePool = caddy.NewUsagePool()

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

// Leave gives up a config's use of a pool. The last one to leave closes it.
func Leave(name string) {
	usagePool.Delete(name) //nolint:errcheck // Destruct returns none
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

// RunningPools are all pools that have not ended, also those that no config
// uses any more: at exit the clock runs for them too.
var RunningPools = &poolSet{set: map[*Pool]bool{}}

// poolSet is a set of pools.
type poolSet struct {
	mu  sync.Mutex
	set map[*Pool]bool
}

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
