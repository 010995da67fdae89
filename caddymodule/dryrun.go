package caddymodule

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/command"
	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/caddymodule/fpm"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/serve"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func init() { command.Register(dryRun, fpm.Command(), serve.Command()) }

// dryRun returns the pools that a config would have. It does not provision the
// config, which could open listeners and logs and request certificates. For a nil
// config it returns the pool of a php_pool directive without options. An error in
// the options of a pool is returned with that pool.
func dryRun(ctx context.Context, config []byte) ([]doctor.Pool, error) {
	app := &App{plans: map[string]*poolcfg.Plan{}, located: map[string]string{}, detected: map[string]*phpbin.Binary{}}
	used := map[string]poolRef{poolcfg.DefaultPool: {}}
	if config != nil {
		var err error
		if used, err = poolsIn(config, app); err != nil {
			return nil, err
		}
		app.dryConfig = config
	}
	var list []doctor.Pool
	for _, name := range slices.Sorted(maps.Keys(used)) {
		p := doctor.Pool{Name: name}
		if plan, err := app.dryRunPool(ctx, name, used, &p); err != nil {
			p.Err = err
		} else {
			app.plans[name] = plan
		}
		list = append(list, p)
	}
	poolcfg.Allocate(poolcfg.DetectResources(app.MaxWorkersTotal), app.plans, nil)
	for i := range list {
		if plan := app.plans[list[i].Name]; plan != nil {
			fillDoctorPool(plan, &list[i])
		}
	}
	return list, nil
}

// dryRunPool returns the plan of one pool, and sets the path of php-cgi in p also
// when there is an error. A php-cgi that does not run is not an error: doctor runs
// it again and reports why.
func (a *App) dryRunPool(ctx context.Context, name string, used map[string]poolRef, p *doctor.Pool) (*poolcfg.Plan, error) {
	ref, of := used[name], name
	if ref.worker != nil {
		of = ref.of
	}
	own := used[of].own
	if ref.worker != nil && ref.of == "" {
		of, own = poolcfg.DefaultPool, nil
	}
	if _, defined := a.Pools[of]; own == nil && !defined && of != poolcfg.DefaultPool {
		return nil, fmt.Errorf("there is no pool %s: define it in the global options (php_pool { pool %s { ... } })", of, of)
	}
	options, err := a.options(of, own)
	if err != nil {
		return nil, err
	}
	if ref.worker != nil {
		path, err := ref.worker.Path(ref.root)
		if err != nil {
			return nil, err
		}
		options = options.ForWorker(ref.worker, path, ref.env)
	}
	if err := options.BindToRoot(name, ref.root, own != nil); err != nil {
		return nil, err
	}
	options.Protect(a.secrets())
	p.Process.Binary, _ = a.findCached(options.Binary) // NewPlan returns the error
	detect := func(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error) {
		b, err := a.detectCached(ctx, path, o)
		if err != nil {
			return &phpbin.Binary{Path: path}, nil //nolint:nilerr // doctor reports it
		}
		return b, nil
	}
	return poolcfg.NewPlan(ctx, zap.NewNop(), options, poolcfg.PHPLocator{Find: a.findCached, Detect: detect})
}

// fillDoctorPool sets the fields of p that the plan determines.
func fillDoctorPool(plan *poolcfg.Plan, p *doctor.Pool) {
	p.Process, p.Shared, p.Caution = plan.Process, plan.Spawn == poolcfg.SpawnShared, plan.CheckUser()
	if plan.Worker != nil {
		p.Process.Prelude = phpbin.Prelude{} // doctor runs ordinary scripts
	}
	p.Workers, p.StopTimeout = plan.Settings.MaxWorkers, plan.Settings.StopTimeout
	if plan.Process.Credential != nil {
		p.User, p.SetsUser = plan.User.Name, plan.Options.User != ""
	}
	if c := plan.Confinement; c != nil {
		p.Confined, p.Gaps, p.Unconfined = c.Unreachable(), c.Gaps, c.Off
	}
	if plan.Sizing != nil {
		p.Sizing = plan.Sizing.Summary
	}
	p.Unknown = map[string]string{}
	for _, s := range plan.UnknownINI() {
		p.Unknown[s.Name] = poolcfg.UnknownReason(s)
	}
}

// poolRef is a reference to a pool by a handler or transport in a config.
type poolRef struct {
	own  *poolcfg.Options // the handler's own pool options, or nil
	root string           // root of the handler's site

	// Of a worker's pool: the worker, the variables of its handler, and the pool whose
	// options it has, "" if the worker is one of the global options.
	worker *poolcfg.Worker
	env    map[string]string
	of     string
}

// poolsIn returns the pools that the handlers and transports in a config use, by
// name, and reads the options of the php_pool app into app.
func poolsIn(config []byte, app *App) (map[string]poolRef, error) {
	var parsed struct {
		Apps map[string]any `json:"apps"`
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber() // a limit may be too large for a float64
	if err := decoder.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	if value, ok := parsed.Apps["php_pool"]; ok {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if err := caddy.StrictUnmarshalJSON(text, app); err != nil {
			return nil, fmt.Errorf("the php_pool app: %w", err)
		}
	}
	used := map[string]poolRef{}
	var firstErr error
	eachObject(parsed.Apps, func(object map[string]any) {
		if object["handler"] != "php_pool" && object["protocol"] != "php_pool" {
			return
		}
		text, err := json.Marshal(object)
		if err != nil {
			firstErr = cmp.Or(firstErr, err)
			return
		}
		var b Backend // its fields are all that matters of a handler
		if err := json.Unmarshal(text, &b); err != nil {
			firstErr = cmp.Or(firstErr, fmt.Errorf("a php_pool handler: %w", err))
			return
		}
		name := cmp.Or(b.Pool, poolcfg.DefaultPool)
		if _, seen := used[name]; !seen || b.PoolOptions != nil {
			used[name] = poolRef{own: b.PoolOptions, root: b.Root}
		}
		for _, w := range b.Workers {
			used[workerPoolName(w, b.Root)] = poolRef{root: b.Root, worker: w, env: b.Env, of: name}
		}
	})
	for _, w := range app.Workers {
		used[workerPoolName(w, "")] = poolRef{worker: w}
	}
	return used, firstErr
}

// eachObject calls f with every object of a parsed JSON document. The order is
// always the same: keys are sorted.
func eachObject(value any, f func(map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		f(value)
		for _, key := range slices.Sorted(maps.Keys(value)) {
			eachObject(value[key], f)
		}
	case []any:
		for _, element := range value {
			eachObject(element, f)
		}
	}
}
