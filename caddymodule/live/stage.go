package live

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// owner is the app of the config that a pool's settings come from. Owners are
// compared by identity.
type owner interface {
	// HTTPApp returns the HTTP app of the same config.
	HTTPApp() (*caddyhttp.App, error)
}

// staged is what takes effect when the config it came with comes to power.
type staged struct {
	app      owner
	plan     *poolcfg.Plan
	prepared *pool.Prepared // nil when the generation that runs will do
}

// Stage makes the pool ready for a config: it opens a new pool, or prepares
// what has to change in a running one. atRest lets it begin without a worker.
func (l *Pool) Stage(ctx context.Context, app owner, s *poolcfg.Plan, atRest bool) error {
	l.mu.Lock()
	current, owner := l.plan, l.owner
	l.mu.Unlock()
	if err := s.CheckUser(); err != nil {
		return err
	}
	next := &staged{app: app, plan: s}
	switch {
	case current != nil && current.Key == s.Key && l.Pool.HasCapacityFor(&s.Settings):
	case atRest:
		if err := s.CreateDirs(); err != nil {
			return err
		}
		next.prepared = l.Pool.PrepareIdle(s.Starter(l.logger), s.Settings)
	default:
		var err error
		if next.prepared, err = l.prepare(ctx, app, s); err != nil {
			return err
		}
	}
	l.mu.Lock()
	l.staged = next
	l.mu.Unlock()
	if owner == nil {
		l.activate()
	}
	return nil
}

// prepare makes a generation ready beside the one that runs, and warms it up.
func (l *Pool) prepare(ctx context.Context, app owner, s *poolcfg.Plan) (*pool.Prepared, error) {
	began := time.Now()
	prepared, err := l.Pool.Prepare(ctx, s.Starter(l.logger), s.Settings)
	if err != nil {
		return nil, err
	}
	if len(s.Options.Warmup) > 0 {
		if err := l.warm(ctx, app, s, prepared); err != nil {
			prepared.Discard()
			return nil, err
		}
	}
	s.LogReady(l.logger, time.Since(began))
	return prepared, nil
}

// activate puts what is staged in force, and waits for the workers that it asks
// for: the load that brought it has not ended yet.
func (l *Pool) activate() {
	if limit := l.activateStaged(); limit > 0 {
		ctx, cancel := context.WithTimeout(l.closeCtx, limit)
		defer cancel()
		l.Pool.WaitStable(ctx)
	}
}

// activateStaged makes what is staged the settings in force; it returns how long
// launches may take, 0 if nothing was staged.
func (l *Pool) activateStaged() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.staged
	if next == nil {
		return 0
	}
	l.staged = nil
	l.plan, l.owner = next.plan, next.app
	if poolcfg.ValueOr(l.plan.Options.Watch, false) {
		l.watchOnce.Do(func() { go l.watch() })
	}
	l.Spool.Configure(next.plan.Options.SpoolDir, next.plan.Options.SpoolMax)
	l.LimitsClients.Store(next.plan.Settings.MaxPerClient > 0)
	if next.prepared == nil {
		l.Pool.Configure(next.plan.Settings)
	} else if err := next.prepared.Commit(); err != nil {
		l.logger.Error("error activating the new generation", zap.Error(err))
	}
	l.adminINIDirs.Store(next.plan.AdminINIDirs()) // not before the new generation serves
	return next.plan.Settings.StartTimeout
}

// Unstage drops what a config had staged that did not come to power.
func (l *Pool) Unstage(app owner) {
	l.mu.Lock()
	next := l.staged
	if next == nil || next.app != app {
		l.mu.Unlock()
		return
	}
	l.staged = nil
	l.mu.Unlock()
	if next.prepared != nil {
		next.prepared.Discard()
	}
}

// ConfigStopped is called when a config has stopped: the next one takes over.
func (l *Pool) ConfigStopped(from owner) {
	l.mu.Lock()
	owned := l.owner == from
	l.mu.Unlock()
	if owned {
		l.activate()
	}
}
