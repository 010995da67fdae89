package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
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

// Scale gives the pool another size, until the next config is loaded. It
// reports whether that took a new generation, for want of slots in the one that
// runs.
func (l *Pool) Scale(ctx context.Context, size Size) (renewed bool, err error) {
	l.changeMu.Lock()
	defer l.changeMu.Unlock()
	current, app := l.Active()
	if current == nil {
		return false, ErrNotStarted
	}
	options := *current.Options
	if err := size.apply(&options); err != nil {
		return false, &BadOptionError{err}
	}
	sized := *current
	sized.Options = &options
	sized.Settings = options.Settings(current.Settings.MaxWorkers)
	if options.IsAuto() {
		sized.Settings.Slots = current.Settings.Slots
	} else {
		sized.Sizing = nil
	}
	var prepared *pool.Prepared
	if !l.Pool.HasCapacityFor(&sized.Settings) {
		if prepared, err = l.prepare(ctx, app, &sized); err != nil {
			return false, err
		}
	}
	if err := l.resizeTo(current, &sized, prepared); err != nil {
		return false, err
	}
	settling, cancel := context.WithTimeout(ctx, sized.Settings.StartTimeout)
	defer cancel()
	l.Pool.WaitStable(settling)
	return prepared != nil, nil
}

// apply writes the size into the options that the pool's manager has for it.
func (size Size) apply(o *poolcfg.Options) error {
	if size.MaxWorkers == nil && size.MinWorkers == nil {
		return errors.New("neither max_workers nor min_workers is given: give one")
	}
	if n := size.MaxWorkers; n != nil {
		if *n < 1 {
			return fmt.Errorf("max_workers %d is out of range: write a number from 1 to %d", *n, poolcfg.MaxWorkers)
		}
		if o.EffectiveManager() == pool.Static {
			o.Workers = *n
		} else {
			o.MaxWorkers = *n
			o.StartWorkers = min(o.StartWorkers, *n) // it has started already
		}
	}
	if size.MinWorkers != nil {
		o.MinWorkers = size.MinWorkers
		if o.StartWorkers != 0 {
			o.StartWorkers = max(o.StartWorkers, *o.MinWorkers)
		}
	}
	return o.Validate()
}

// ErrConfigChanged: two changes at a time.
var ErrConfigChanged = errors.New("another config was loaded meanwhile: look at the pool, and ask again")

// resizeTo puts a spec in force that differs in size from the current one.
func (l *Pool) resizeTo(current, sized *poolcfg.Plan, prepared *pool.Prepared) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.plan != current:
		if prepared != nil {
			go prepared.Discard()
		}
		return ErrConfigChanged
	case prepared != nil:
		if err := prepared.Commit(); err != nil {
			return err
		}
	default:
		l.Pool.Configure(sized.Settings)
	}
	l.logger.Info("pool resized by request", zap.Int("old_max", current.Settings.MaxWorkers), zap.Int("new_max", sized.Settings.MaxWorkers))
	l.plan = sized
	return nil
}

// BadOptionError is what a caller of scale has asked for wrongly.
type BadOptionError struct{ error }

func (e *BadOptionError) Unwrap() error { return e.error }

// Active is what the pool runs by, and the config that it came with.
func (l *Pool) Active() (*poolcfg.Plan, owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plan, l.owner
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

// Size is the body of a scale call; what is left out stays as it is. Of a
// static pool max_workers is the number of workers.
type Size struct {
	MaxWorkers *int `json:"max_workers"`
	MinWorkers *int `json:"min_workers"`
}
