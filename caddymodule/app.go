package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/metrics"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	_ "github.com/mevdschee/caddy-php-pool/caddymodule/status" // registers the admin API, php_pool_status and php_pool_ping
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func init() { caddy.RegisterModule(App{}) }

// App manages the pools that the php_pool handlers of a config use. It is only
// needed for pools that several handlers share, and for common options.
type App struct {
	// Options of all pools that do not set them. A pool that sets `manager`,
	// `workers` or `max_workers` ignores the numbers of workers given here.
	Defaults *poolcfg.Options `json:"defaults,omitempty"`

	// Pools by name, for handlers to use. A pool that no handler uses is validated
	// but not started.
	Pools map[string]*poolcfg.Options `json:"pools,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger

	// Filled while handlers are provisioned, which Caddy does one by one.
	plans    map[string]*poolcfg.Plan // by name, of pools in use
	pools    map[string]*live.Pool
	found    map[string]string         // paths of php-cgi, by what was asked for
	detected map[string]*phpbin.Binary // what has been asked, by how

	shutdownDelay time.Duration // of the HTTP app
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "php_pool", New: func() caddy.Module { return new(App) }}
}

// Provision checks the pools defined here.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	if err := metrics.Register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	a.plans, a.pools = map[string]*poolcfg.Plan{}, map[string]*live.Pool{}
	a.found, a.detected = map[string]string{}, map[string]*phpbin.Binary{}
	for _, name := range slices.Sorted(maps.Keys(a.Pools)) {
		if _, err := a.options(name, nil); err != nil {
			return err
		}
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", exitHandler{a})
}

// Options returns the options of a pool with the defaults filled in.
func (a *App) options(name string, own *poolcfg.Options) (*poolcfg.Options, error) {
	if own == nil {
		own = a.Pools[name]
	}
	merged, err := poolcfg.Merge(a.Defaults, own)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	return merged, nil
}

// usePool lets a handler join the pool of that name; own are options given with
// the handler, root is its site's, perhaps with placeholders.
func (a *App) usePool(name string, own *poolcfg.Options, root string) (*live.Pool, error) {
	if name == "" {
		name = poolcfg.DefaultPool
	}
	_, defined := a.Pools[name]
	switch {
	case own != nil && defined:
		return nil, fmt.Errorf("pool %s is defined twice: in the php_pool app and with a handler; "+
			"give one of them another name", name)
	case own == nil && !defined && name != poolcfg.DefaultPool:
		p := a.pools[name]
		if p == nil {
			return nil, fmt.Errorf("there is no pool %s: define it in the global options "+
				"(php_pool { pool %s { ... } })", name, name)
		}
		return p, a.plans[name].Options.CheckRoot(name, root)
	}
	options, err := a.options(name, own)
	if err != nil {
		return nil, err
	}
	if err := options.BindToRoot(name, root, own != nil); err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	if s := a.plans[name]; s != nil {
		if !poolcfg.EqualJSON(s.Options, options) {
			return nil, fmt.Errorf("pool %s is defined twice with different options: "+
				"give one of them another name", name)
		}
		return a.pools[name], s.Options.CheckRoot(name, root)
	}
	s, err := poolcfg.NewPlan(a.ctx, live.PoolLogger(a.logger, name), options, poolcfg.PHPLocator{Find: a.findCached, Detect: a.detectCached})
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	p, err := live.LoadOrNew(name, s, a.logger)
	if err != nil {
		return nil, err
	}
	a.plans[name], a.pools[name] = s, p
	return p, nil
}

// findCached looks for php-cgi, once per config for all pools that want the same: that
// reads every directory of PATH, which takes a few milliseconds.
func (a *App) findCached(spec string) (string, error) {
	if path, ok := a.found[spec]; ok {
		return path, nil
	}
	path, err := phpbin.Find(spec)
	if err == nil {
		a.found[spec] = path
	}
	return path, err
}

// healthCheck asks php-cgi what it is, once per config for all pools that start it in
// the same way: that takes 50 ms each time.
func (a *App) detectCached(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error) {
	how := fmt.Sprint(path, o.Args(), o.Environ(), o.Credential)
	if b := a.detected[how]; b != nil {
		return b, nil
	}
	b, err := phpbin.Detect(ctx, path, o)
	if err == nil {
		a.detected[how] = b
	}
	return b, err
}

// Start launches what is new and returns when it serves. Pools that run
// already stay as they are until the config before this one has stopped; what
// has to change is made ready beside them.
func (a *App) Start() error {
	a.killOrphans()
	a.shutdownDelay = a.httpShutdownDelay()
	m := poolcfg.DetectResources()
	poolcfg.Allocate(m, a.plans, nil)
	if err := a.stagePools(); err != nil {
		a.unstage()
		return err
	}
	a.warnSameUser()
	a.warnSharedUser()
	a.warnAdminAccess()
	for _, s := range a.plans {
		if s.Options.IsAuto() {
			go a.resizeByMeasurement(m)
			break
		}
	}
	return nil
}

// stagePools makes all pools ready, first one of each kind: of pools that start
// php-cgi in the same way, an ondemand one need not try whether that works when
// another one has. So 200 sites that nobody visits cost one start.
func (a *App) stagePools() error {
	leaders := map[string]string{} // by key
	for _, name := range slices.Sorted(maps.Keys(a.plans)) {
		s := a.plans[name]
		if other, ok := leaders[s.Key]; !ok || a.plans[other].MayStartEmpty() {
			leaders[s.Key] = name
		}
	}
	var first, rest []string
	for name, s := range a.plans {
		if leaders[s.Key] == name {
			first = append(first, name)
		} else {
			rest = append(rest, name)
		}
	}
	if err := a.stageConcurrently(first, false); err != nil {
		return err
	}
	return a.stageConcurrently(rest, true)
}

// stageConcurrently makes pools ready side by side; proven says that php-cgi is known
// to start as they want it.
func (a *App) stageConcurrently(names []string, proven bool) error {
	var mu sync.Mutex
	var errs []error
	var starts sync.WaitGroup
	// More at a time would only make each take longer, up to start_timeout.
	room := make(chan struct{}, startsPerCPU*runtime.GOMAXPROCS(0))
	for _, name := range names {
		room <- struct{}{}
		starts.Go(func() {
			defer func() { <-room }()
			s := a.plans[name]
			if err := a.pools[name].Stage(a.ctx, a, s, proven && s.MayStartEmpty()); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("pool %s: %w", name, err))
			}
		})
	}
	starts.Wait()
	return errors.Join(errs...)
}

// startsPerCPU is how many generations are started at a time: a start computes
// for most of its time.
const startsPerCPU = 4

// Stop hands the pools over to the config that has taken over, if there is
// one. It ends no worker: Caddy stops apps in any order, and the HTTP server
// may have requests to serve still.
func (a *App) Stop() error {
	a.unstage()
	for _, p := range a.pools {
		p.ConfigStopped(a)
	}
	return nil
}

func (a *App) unstage() {
	for _, p := range a.pools {
		p.Unstage(a)
	}
}

// Cleanup leaves the pools; the last one to leave a pool ends it.
func (a *App) Cleanup() error {
	a.unstage()
	var leaves sync.WaitGroup // at exit each takes its time
	for name := range a.pools {
		leaves.Go(func() { live.Leave(name) })
	}
	leaves.Wait()
	a.pools = nil
	return nil
}

// exitHandler is told when Caddy is about to stop a config.
type exitHandler struct{ app *App }

// Handle starts the clock when Caddy exits: the HTTP server waits for running
// requests, perhaps for ever, and perhaps before our Stop is called. During its
// shutdown_delay it serves as ever, and so do the pools.
func (s exitHandler) Handle(context.Context, caddy.Event) error {
	if !caddy.Exiting() {
		return nil
	}
	for _, p := range live.RunningPools.All() {
		time.AfterFunc(s.app.shutdownDelay+p.StopTimeout(), p.ForceClose)
	}
	return nil
}

// httpShutdownDelay is the shutdown_delay of the HTTP app, which is provisioned
// by the time that apps start.
func (a *App) httpShutdownDelay() time.Duration {
	web, err := a.HTTPApp()
	if err != nil {
		return 0
	}
	return time.Duration(web.ShutdownDelay)
}

// HTTPApp returns the HTTP app of the same config, for live.Owner.
func (a *App) HTTPApp() (*caddyhttp.App, error) {
	value, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, err
	}
	return value.(*caddyhttp.App), nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)

// resizeByMeasurement keeps the sizes true for as long as the config is in power: by what
// workers were seen to use.
func (a *App) resizeByMeasurement(m poolcfg.Resources) {
	ticker := time.NewTicker(poolcfg.MeasureInterval)
	defer ticker.Stop()
	most := map[string]int64{}
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-ticker.C:
		}
		for name, p := range a.pools {
			most[name] = max(most[name], p.LargestWorkerBytes())
		}
		specs := map[string]*poolcfg.Plan{}
		for name, s := range a.plans {
			next := *s
			specs[name] = &next
		}
		poolcfg.Allocate(m, specs, most)
		for name, p := range a.pools {
			p.Resize(a, specs[name])
		}
	}
}
