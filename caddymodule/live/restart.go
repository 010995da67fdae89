package live

import (
	"context"
	"errors"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// ErrNotStarted means that the config of the pool is not active yet.
var ErrNotStarted = errors.New("pool has not started yet: retry when its config has been loaded")

// Restart replaces the pool's generation with a new one, started from php-cgi and
// its ini files as they are now. The settings stay the same. The old generation
// is drained once the new one is ready; after an error it stays active. reason is
// logged.
func (p *Pool) Restart(ctx context.Context, reason string) error {
	return p.restartIf(ctx, reason, always)
}

// restartIf is Restart if the active plan still gives a reason for it, and else does
// nothing: another change may have come first.
func (p *Pool) restartIf(ctx context.Context, reason string, wanted func(*poolcfg.Plan) bool) error {
	p.changeMu.Lock()
	defer p.changeMu.Unlock()
	current, app := p.Active()
	if current == nil {
		return ErrNotStarted
	}
	if !wanted(current) {
		return nil
	}
	options, err := current.Options.Reread()
	if err != nil {
		return err
	}
	fresh, err := poolcfg.NewPlan(ctx, p.logger, options, poolcfg.Uncached)
	if err != nil {
		return err
	}
	fresh.Settings, fresh.Sizing = current.Settings, current.Sizing
	prepared, err := p.prepare(ctx, app, fresh)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plan.Key != current.Key {
		// Meanwhile another config has activated its own generation, which is
		// at least as new.
		go prepared.Discard()
		return nil
	}
	if err := prepared.Commit(); err != nil {
		return err
	}
	p.replacedLocked(reason, current, fresh)
	return nil
}

// replacedLocked records that a generation of fresh, with the same settings, has replaced
// that of current.
func (p *Pool) replacedLocked(reason string, current, fresh *poolcfg.Plan) {
	p.logGeneration(reason, fresh)
	p.plan = p.plan.WithDetected(fresh)
	p.adminINIDirs.Store(p.plan.AdminINIDirs())
	p.Pool.Configure(p.plan.Settings) // a reload may have changed them meanwhile
	if next := p.staged; next != nil && next.prepared == nil && next.plan.Key == current.Key {
		next.plan = next.plan.WithDetected(fresh)
	}
}

func always(*poolcfg.Plan) bool { return true }
