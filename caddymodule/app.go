package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/heap"
	"github.com/mevdschee/caddy-php-pool/caddymodule/listener"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/metrics"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	_ "github.com/mevdschee/caddy-php-pool/caddymodule/status" // registers the admin API, php_pool_status and php_pool_ping
	"github.com/mevdschee/caddy-php-pool/caddymodule/threads"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func init() { caddy.RegisterModule(App{}) }

// App manages the pools that the php_pool handlers of a config use. It is only
// needed for pools that several handlers share, and for common options.
type App struct {
	// Options of all pools that do not set them. A pool that sets `manager`,
	// `workers` or `max_workers` ignores the numbers of workers given here.
	Defaults *poolcfg.Options `json:"defaults,omitempty"`

	// Pools by name, for handlers and `fastcgi` to use. A pool that none of them uses
	// is validated but not started.
	Pools map[string]*poolcfg.Options `json:"pools,omitempty"`

	// Sockets for other web servers, which get PHP by FastCGI as from php-fpm.
	FastCGI []*listener.Listener `json:"fastcgi,omitempty"`

	// The maximum number of workers of all pools together, like php-fpm's
	// `process.max`. A pool that may not start one waits until another pool has
	// stopped one: an idle worker above the minimum of its pool stops at once, and
	// a busy one after its request if a pool waits that has none. Each new
	// generation starts with at least one worker, so a reload can exceed the limit
	// by one for each pool. Default: no limit.
	MaxWorkersTotal int `json:"max_workers_total,omitempty"`

	// How many CPUs Caddy itself uses at once, so that PHP has the others. It is Go's
	// GOMAXPROCS, and never more than without the option: `auto` tries fewer while Caddy
	// is busy with requests for PHP, and keeps what serves more of them for less CPU time
	// (on Linux). A number is for machines that do little but run PHP: TLS, compression
	// and large files then have no more than that. `off` leaves it alone. Default: `auto` on
	// Linux with two CPUs, unless `GOMAXPROCS` is in the environment, else `off`.
	Threads threads.Setting `json:"threads,omitempty"`

	// Workers of all sites: a request whose script is that of one of them goes to
	// its pool, whichever handler it passes. The options of the pool are the defaults.
	Workers []*poolcfg.Worker `json:"workers,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger

	// Written while handlers are provisioned, which Caddy does one by one.
	left     bool                      // the pools, in Cleanup
	plans    map[string]*poolcfg.Plan  // of the pools in use, by pool name
	pools    map[string]*live.Pool     // by pool name
	located  map[string]string         // results of phpbin.Find, by the option `binary`
	detected map[string]*phpbin.Binary // results of phpbin.Detect, by path and process options
	iniFiles poolcfg.INIFiles          // read for the plans

	secret *poolcfg.Secrets // see secrets

	dryConfig []byte // of dryRun

	shutdownDelay time.Duration // shutdown_delay of the HTTP app
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "php_pool", New: func() caddy.Module { return new(App) }}
}

// Provision checks the options of all pools that the app defines.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	if err := metrics.Register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	a.plans, a.pools = map[string]*poolcfg.Plan{}, map[string]*live.Pool{}
	a.located, a.detected, a.iniFiles = map[string]string{}, map[string]*phpbin.Binary{}, poolcfg.INIFiles{}
	if n := a.MaxWorkersTotal; n < 0 || n > maxWorkersTotal {
		return fmt.Errorf("max_workers_total %d is out of range: write a number from 1 to %d", n, maxWorkersTotal)
	}
	if err := a.Threads.Validate(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.Pools)) {
		if _, err := a.options(name, nil); err != nil {
			return err
		}
	}
	usePool := func(name, root string) (*live.Pool, error) { return a.usePool(name, nil, root) }
	for _, l := range a.FastCGI {
		if err := l.Provision(ctx, usePool); err != nil {
			return err
		}
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", exitHandler{a})
}

// options returns the options of a pool with the defaults filled in. If own is nil,
// they are those that the app defines under that name.
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

// usePool returns the pool with that name for a handler, and creates it if no
// handler has used it yet. own are the handler's own pool options, or nil; root is
// the root of its site and may contain placeholders.
func (a *App) usePool(name string, own *poolcfg.Options, root string) (*live.Pool, error) {
	name = cmp.Or(name, poolcfg.DefaultPool)
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
	return a.joinPool(name, options, root)
}

// joinPool returns the pool with that name and these merged options, and creates it if
// no handler has used it yet.
func (a *App) joinPool(name string, options *poolcfg.Options, root string) (*live.Pool, error) {
	options.Protect(a.secrets())
	if plan := a.plans[name]; plan != nil {
		if !plan.Options.Equal(options) {
			return nil, fmt.Errorf("pool %s is defined twice with different options: "+
				"give one of them another name", name)
		}
		return a.pools[name], plan.Options.CheckRoot(name, root)
	}
	if err := a.checkTotal(name, options); err != nil {
		return nil, err
	}
	plan, err := poolcfg.NewPlan(a.ctx, live.PoolLogger(a.logger, name), options, a.locator())
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", name, err)
	}
	p, err := live.LoadOrNew(name, plan, a.logger)
	if err != nil {
		return nil, err
	}
	a.plans[name], a.pools[name] = plan, p
	return p, nil
}

// checkTotal returns an error if max_workers_total is too low for the pools in use and
// one more.
func (a *App) checkTotal(name string, options *poolcfg.Options) error {
	minima := map[string]int{name: options.Minimum()}
	for name, plan := range a.plans {
		minima[name] = plan.Options.Minimum()
	}
	return live.CheckTotal(a.MaxWorkersTotal, minima)
}

// PoolNames returns the pools that the handlers provisioned so far use.
func (a *App) PoolNames() []string { return slices.Collect(maps.Keys(a.pools)) }

// DefinesPool reports whether the app itself defines a pool of that name.
func (a *App) DefinesPool(name string) bool { return a.Pools[name] != nil }

// Start starts the pools that do not run yet, and returns when they are ready to
// serve. Pools that run already keep their workers until the previous config has
// stopped; if their options have changed, Start prepares a new generation.
func (a *App) Start() error {
	if err := a.checkDevelopers(); err != nil {
		return err
	}
	a.killOrphans()
	a.iniFiles = nil // all plans are made
	a.shutdownDelay = a.httpShutdownDelay()
	resources := poolcfg.DetectResources(a.MaxWorkersTotal)
	live.StageTotal(a, a.MaxWorkersTotal)
	poolcfg.Allocate(resources, a.plans, nil)
	if err := a.stagePools(); err != nil {
		a.unstage()
		return err
	}
	if err := a.listen(); err != nil {
		a.unstage()
		return err
	}
	threads.Use(a, a.Threads)
	heap.Use(a)
	a.warnSameUser()
	a.warnSharedUser()
	a.warnAdminAccess()
	for _, plan := range a.plans {
		if plan.Options.IsAuto() {
			go a.resizeByMeasurement(resources)
			break
		}
	}
	return nil
}

// listen starts the FastCGI listeners. Caddy does not stop an app that did not start.
func (a *App) listen() error {
	for i, l := range a.FastCGI {
		if err := l.Start(a.ctx); err != nil {
			for _, started := range a.FastCGI[:i] {
				started.Stop()
			}
			return err
		}
	}
	return nil
}

// stagePools stages all pools, first one of each group that starts php-cgi in the
// same way. After that the ondemand pools of the group need not start php-cgi to
// find out whether it works: 200 idle sites cost one start.
func (a *App) stagePools() error {
	leaders := map[string]string{} // names of pools, by Plan.Key
	for _, name := range slices.Sorted(maps.Keys(a.plans)) {
		key := a.plans[name].Key
		if leader, ok := leaders[key]; !ok || a.plans[leader].MayStartEmpty() {
			leaders[key] = name
		}
	}
	var first, rest []string
	for name, plan := range a.plans {
		if leaders[plan.Key] == name {
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

// stageConcurrently stages pools, several at a time. proven reports that php-cgi is
// known to start with their options. The error joins those of all pools.
func (a *App) stageConcurrently(names []string, proven bool) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	// With more at a time each start would take longer, up to start_timeout.
	sem := make(chan struct{}, startsPerCPU*threads.CPUs())
	for _, name := range names {
		sem <- struct{}{}
		wg.Go(func() {
			defer func() { <-sem }()
			plan := a.plans[name]
			if err := a.pools[name].Stage(a.ctx, a, plan, proven && plan.MayStartEmpty()); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("pool %s: %w", name, err))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// maxWorkersTotal is the highest max_workers_total that is accepted. It only catches
// typing errors.
const maxWorkersTotal = 100 * poolcfg.MaxWorkers

// startsPerCPU is the number of pools per CPU that are started at a time. A start
// is mostly CPU time.
const startsPerCPU = 4

// Stop activates what the next config has staged, if there is a next config. It
// stops no workers: Caddy stops apps in any order, and the HTTP server may still
// serve requests. Cleanup does that.
func (a *App) Stop() error {
	for _, l := range a.FastCGI {
		l.Stop()
	}
	threads.Drop(a)
	heap.Drop(a)
	a.unstage()
	live.TotalStopped(a)
	for _, p := range a.pools {
		p.ConfigStopped(a)
	}
	return nil
}

func (a *App) unstage() {
	live.UnstageTotal(a)
	for _, p := range a.pools {
		p.Unstage(a)
	}
}

// Cleanup releases the pools. A pool is closed when no config uses it any more. When
// Caddy exits, the background jobs of scripts end too.
func (a *App) Cleanup() error {
	if a.left {
		return nil
	}
	a.left = true
	a.unstage()
	var wg sync.WaitGroup // closing a pool waits for its requests
	for name := range a.pools {
		wg.Go(func() { live.Leave(name) })
	}
	wg.Wait()
	if live.Exiting() {
		return phpbin.KillJobs()
	}
	return nil
}

// exitHandler handles Caddy's event "stopping", which precedes the stop of a
// config.
type exitHandler struct{ app *App }

// Handle starts the stop timeout of all pools when Caddy exits: the HTTP server
// waits for running requests without a limit, possibly before our Stop is called.
// During its shutdown_delay it serves as usual, and so do the pools.
func (h exitHandler) Handle(context.Context, caddy.Event) error {
	if !live.Exiting() {
		return nil
	}
	for _, p := range live.RunningPools.All() {
		time.AfterFunc(h.app.shutdownDelay+p.StopTimeout(), p.ForceClose)
	}
	return nil
}

// httpShutdownDelay returns the shutdown_delay of the HTTP app, or 0 without such
// an app. Caddy provisions all apps before it starts the first.
func (a *App) httpShutdownDelay() time.Duration {
	app, err := a.HTTPApp()
	if err != nil {
		return 0
	}
	return time.Duration(app.ShutdownDelay)
}

// HTTPApp returns the HTTP app of the same config. Package live calls it.
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
