package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/command"
	"github.com/mevdschee/caddy-php-pool/caddymodule/doctor"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func init() { command.Register(dryRun) }

// dryRun says which pools a config would have, without provisioning any of it,
// which could listen, open logs and ask for certificates. Without a config it
// is the pool of a php_pool that has no options.
func dryRun(ctx context.Context, config []byte) ([]doctor.Pool, error) {
	app := &App{plans: map[string]*poolcfg.Plan{}, found: map[string]string{}, detected: map[string]*phpbin.Binary{}}
	used := map[string]poolRef{poolcfg.DefaultPool: {}}
	if config != nil {
		var err error
		if used, err = poolsIn(config, app); err != nil {
			return nil, err
		}
	}
	var list []doctor.Pool
	for _, name := range slices.Sorted(maps.Keys(used)) {
		p := doctor.Pool{Name: name}
		if s, err := app.dryRunPool(ctx, name, used[name], &p); err != nil {
			p.Err = err
		} else {
			app.plans[name] = s
		}
		list = append(list, p)
	}
	poolcfg.Allocate(poolcfg.DetectResources(), app.plans, nil)
	for i := range list {
		if s := app.plans[list[i].Name]; s != nil {
			fillDoctorPool(s, &list[i])
		}
	}
	return list, nil
}

// dryRunPool is the spec of one pool. When php-cgi does not even answer, that is no
// error here: doctor asks it again, and tells.
func (a *App) dryRunPool(ctx context.Context, name string, use poolRef, p *doctor.Pool) (*poolcfg.Plan, error) {
	own := use.own
	if _, defined := a.Pools[name]; own == nil && !defined && name != poolcfg.DefaultPool {
		return nil, fmt.Errorf("there is no pool %s: define it in the global options (php_pool { pool %s { ... } })", name, name)
	}
	options, err := a.options(name, own)
	if err != nil {
		return nil, err
	}
	if err := options.BindToRoot(name, use.root, own != nil); err != nil {
		return nil, err
	}
	p.Process.Binary, _ = a.findCached(options.Binary) // NewPlan tells why it could not
	return poolcfg.NewPlan(ctx, zap.NewNop(), options, poolcfg.PHPLocator{Find: a.findCached, Detect: func(ctx context.Context, path string, o phpbin.Options) (*phpbin.Binary, error) {
		b, err := a.detectCached(ctx, path, o)
		if err != nil {
			return &phpbin.Binary{Path: path}, nil //nolint:nilerr // see above
		}
		return b, nil
	}})
}

// fillDoctorPool fills in what doctor wants to know.
func fillDoctorPool(s *poolcfg.Plan, p *doctor.Pool) {
	p.Process, p.Shared, p.Caution = s.Process, s.Spawn == poolcfg.SpawnShared, s.CheckUser()
	p.Workers, p.StopTimeout = s.Settings.MaxWorkers, s.Settings.StopTimeout
	if s.Process.Credential != nil {
		p.User = s.User.Name
	}
	if s.Sizing != nil {
		p.Sizing = s.Sizing.Summary
	}
}

// poolRef is how a config uses a pool: with options of the handler's own, or none,
// and for which root.
type poolRef struct {
	own  *poolcfg.Options
	root string
}

// poolsIn finds the pools that a config uses, wherever in it their handlers
// stand, with the options that stand there. It fills in the app's own.
func poolsIn(config []byte, app *App) (map[string]poolRef, error) {
	var parsed struct {
		Apps map[string]any `json:"apps"`
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber() // a limit may be too large for a float64
	if err := decoder.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	if own, ok := parsed.Apps["php_pool"]; ok {
		text, err := json.Marshal(own)
		if err != nil {
			return nil, err
		}
		if err := caddy.StrictUnmarshalJSON(text, app); err != nil {
			return nil, fmt.Errorf("the php_pool app: %w", err)
		}
	}
	used := map[string]poolRef{}
	var failed error
	eachObject(parsed.Apps, func(object map[string]any) {
		if object["handler"] != "php_pool" && object["protocol"] != "php_pool" {
			return
		}
		text, err := json.Marshal(object)
		if err != nil {
			failed = err
			return
		}
		var b Backend // of the handler's fields only these matter
		if err := json.Unmarshal(text, &b); err != nil {
			failed = fmt.Errorf("a php_pool handler: %w", err)
			return
		}
		name := b.Pool
		if name == "" {
			name = poolcfg.DefaultPool
		}
		if _, seen := used[name]; !seen || b.PoolOptions != nil {
			used[name] = poolRef{b.PoolOptions, b.Root}
		}
	})
	return used, failed
}

// eachObject visits all objects of a JSON document.
func eachObject(value any, visit func(map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		visit(value)
		for _, key := range slices.Sorted(maps.Keys(value)) {
			eachObject(value[key], visit)
		}
	case []any:
		for _, element := range value {
			eachObject(element, visit)
		}
	}
}
