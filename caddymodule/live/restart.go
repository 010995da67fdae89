package live

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// ErrNotStarted: the pool belongs to a config that has not come to power.
var ErrNotStarted = errors.New("the pool has not started yet: ask again when its config has been loaded")

// Restart replaces the pool's generation by one that is started from php-cgi
// and its ini files as they are now, while the config stays. The new one
// serves before the old one is asked to go; on error the old one goes on.
func (l *Pool) Restart(ctx context.Context, why string) error {
	l.changeMu.Lock()
	defer l.changeMu.Unlock()
	current, app := l.Active()
	if current == nil {
		return ErrNotStarted
	}
	fresh, err := poolcfg.NewPlan(ctx, l.logger, current.Options, poolcfg.Uncached)
	if err != nil {
		return err
	}
	fresh.Settings, fresh.Sizing = current.Settings, current.Sizing
	prepared, err := l.prepare(ctx, app, fresh)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan.Key != current.Key {
		// A config has taken over meanwhile, with a generation of its own that
		// is at least as new.
		go prepared.Discard()
		return nil
	}
	if err := prepared.Commit(); err != nil {
		return err
	}
	l.logger.Info("new generation active", zap.String("reason", why), zap.String("version", fresh.Binary.VersionText))
	l.plan = l.plan.WithDetected(fresh)
	l.adminINIDirs.Store(l.plan.AdminINIDirs())
	l.Pool.Configure(l.plan.Settings) // they may have changed meanwhile
	if next := l.staged; next != nil && next.prepared == nil && next.plan.Key == current.Key {
		next.plan = next.plan.WithDetected(fresh)
	}
	return nil
}
