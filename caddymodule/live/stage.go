package live

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Owner is the app of the config that a pool's settings come from. Owners are
// compared by identity.
type Owner interface {
	// HTTPApp returns the HTTP app of the same config.
	HTTPApp() (*caddyhttp.App, error)
}

// staged holds changes that take effect once the config that requested them is
// active.
type staged struct {
	owner    Owner
	plan     *poolcfg.Plan
	prepared *pool.Prepared // nil if the running generation can be kept
}

// Stage prepares the pool for a config. A new pool is opened at once; a running
// one continues with its active settings until [Pool.ConfigStopped]. If
// startEmpty is set, a new generation begins without workers.
func (p *Pool) Stage(ctx context.Context, app Owner, plan *poolcfg.Plan, startEmpty bool) error {
	current, owner := p.Active()
	if err := plan.CheckUser(); err != nil {
		return err
	}
	next := &staged{owner: app, plan: plan}
	switch {
	case current != nil && current.Key == plan.Key && p.Pool.HasCapacityFor(&plan.Settings):
		// The running generation can be kept.
	case startEmpty:
		if err := plan.CreateDirs(); err != nil {
			return err
		}
		next.prepared = p.Pool.PrepareIdle(plan.Starter(p.logger, p.resetRequested), plan.Settings)
	default:
		var err error
		if next.prepared, err = p.prepare(ctx, app, plan); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.staged = next
	p.mu.Unlock()
	if owner == nil {
		p.activate()
	}
	return nil
}

// prepare starts a generation beside the running one and warms it up.
func (p *Pool) prepare(ctx context.Context, app Owner, plan *poolcfg.Plan) (*pool.Prepared, error) {
	start := time.Now()
	prepared, err := p.Pool.Prepare(ctx, plan.Starter(p.logger, p.resetRequested), plan.Settings)
	if err != nil {
		return nil, err
	}
	if len(plan.Options.Warmup) > 0 {
		if err := p.warm(ctx, app, plan, prepared); err != nil {
			prepared.Discard()
			return nil, err
		}
	}
	plan.LogReady(p.logger, time.Since(start))
	return prepared, nil
}

// activate activates the staged settings and waits for the workers that they
// require, so that the load of the config ends when the pool is ready.
func (p *Pool) activate() {
	if limit := p.activateStaged(); limit > 0 {
		ctx, cancel := context.WithTimeout(p.closeCtx, limit)
		defer cancel()
		p.Pool.WaitStable(ctx)
	}
}

// activateStaged activates the staged settings. It returns how long launches may
// take, 0 if nothing was staged.
func (p *Pool) activateStaged() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.staged
	if next == nil {
		return 0
	}
	p.staged = nil
	reloaded := p.plan != nil
	p.plan, p.owner = next.plan, next.owner
	if p.plan.Options.WatchesFiles() {
		p.watchOnce.Do(func() { go p.watch() })
	}
	if p.plan.Worker != nil {
		p.followOnce.Do(func() { go p.follow() })
	}
	p.Spool.Configure(next.plan.Options.SpoolDir, next.plan.Options.SpoolMax)
	p.LimitsClients.Store(next.plan.Settings.MaxPerClient > 0)
	if next.prepared == nil {
		p.Pool.Configure(next.plan.Settings)
	} else if err := next.prepared.Commit(); err != nil {
		p.logger.Error("error activating the new generation", zap.Error(err))
	} else if reloaded {
		p.logGeneration("config reload", next.plan)
	}
	// Not before Commit: the old generation lacks directories that the new one covers.
	p.adminINIDirs.Store(next.plan.AdminINIDirs())
	return next.plan.Settings.StartTimeout
}

// logGeneration logs that a generation of the plan has replaced another one.
func (p *Pool) logGeneration(reason string, plan *poolcfg.Plan) {
	p.logger.Info("new generation active", zap.String("reason", reason), zap.String("version", plan.Binary.VersionText))
}

// Unstage discards the changes that app has staged, if they are not active yet.
func (p *Pool) Unstage(app Owner) {
	p.mu.Lock()
	next := p.staged
	if next == nil || next.owner != app {
		p.mu.Unlock()
		return
	}
	p.staged = nil
	p.mu.Unlock()
	if next.prepared != nil {
		next.prepared.Discard()
	}
}

// ConfigStopped activates the staged settings if the active ones came from app,
// whose config has stopped.
func (p *Pool) ConfigStopped(app Owner) {
	if _, owner := p.Active(); owner == app {
		p.activate()
	}
}
