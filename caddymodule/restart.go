package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// errNotStarted: the pool belongs to a config that has not come to power.
var errNotStarted = errors.New("the pool has not started yet: ask again when its config has been loaded")

// restart replaces the pool's generation by one that is started from php-cgi
// and its ini files as they are now, while the config stays. The new one
// serves before the old one is asked to go; on error the old one goes on.
func (l *managedPool) restart(ctx context.Context, why string) error {
	l.changeMu.Lock()
	defer l.changeMu.Unlock()
	current, app := l.active()
	if current == nil {
		return errNotStarted
	}
	fresh, err := newPlan(ctx, l.logger, current.options, uncached)
	if err != nil {
		return err
	}
	fresh.settings, fresh.sizing = current.settings, current.sizing
	prepared, err := l.prepare(ctx, app, fresh)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan.key != current.key {
		// A config has taken over meanwhile, with a generation of its own that
		// is at least as new.
		go prepared.Discard()
		return nil
	}
	if err := prepared.Commit(); err != nil {
		return err
	}
	l.logger.Info("new generation active", zap.String("reason", why), zap.String("version", fresh.binary.VersionText))
	l.plan = l.plan.withDetected(fresh)
	l.adminINIDirs.Store(l.plan.adminINIDirs())
	l.pool.Configure(l.plan.settings) // they may have changed meanwhile
	if next := l.staged; next != nil && next.prepared == nil && next.plan.key == current.key {
		next.plan = next.plan.withDetected(fresh)
	}
	return nil
}

// scale gives the pool another size, until the next config is loaded. It
// reports whether that took a new generation, for want of slots in the one that
// runs.
func (l *managedPool) scale(ctx context.Context, size scaleJSON) (renewed bool, err error) {
	l.changeMu.Lock()
	defer l.changeMu.Unlock()
	current, app := l.active()
	if current == nil {
		return false, errNotStarted
	}
	options := *current.options
	if err := size.apply(&options); err != nil {
		return false, &badOptionError{err}
	}
	sized := *current
	sized.options = &options
	sized.settings = options.settings(current.settings.MaxWorkers)
	if options.isAuto() {
		sized.settings.Slots = current.settings.Slots
	} else {
		sized.sizing = nil
	}
	var prepared *pool.Prepared
	if !l.pool.HasCapacityFor(&sized.settings) {
		if prepared, err = l.prepare(ctx, app, &sized); err != nil {
			return false, err
		}
	}
	if err := l.resizeTo(current, &sized, prepared); err != nil {
		return false, err
	}
	settling, cancel := context.WithTimeout(ctx, sized.settings.StartTimeout)
	defer cancel()
	l.pool.WaitStable(settling)
	return prepared != nil, nil
}

// apply writes the size into the options that the pool's manager has for it.
func (size scaleJSON) apply(o *PoolOptions) error {
	if size.MaxWorkers == nil && size.MinWorkers == nil {
		return errors.New("neither max_workers nor min_workers is given: give one")
	}
	if n := size.MaxWorkers; n != nil {
		if *n < 1 {
			return fmt.Errorf("max_workers %d is out of range: write a number from 1 to %d", *n, maxWorkers)
		}
		if o.effectiveManager() == pool.Static {
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
	return o.validate()
}

// errConfigChanged: two changes at a time.
var errConfigChanged = errors.New("another config was loaded meanwhile: look at the pool, and ask again")

// resizeTo puts a spec in force that differs in size from the current one.
func (l *managedPool) resizeTo(current, sized *plan, prepared *pool.Prepared) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.plan != current:
		if prepared != nil {
			go prepared.Discard()
		}
		return errConfigChanged
	case prepared != nil:
		if err := prepared.Commit(); err != nil {
			return err
		}
	default:
		l.pool.Configure(sized.settings)
	}
	l.logger.Info("pool resized by request", zap.Int("old_max", current.settings.MaxWorkers), zap.Int("new_max", sized.settings.MaxWorkers))
	l.plan = sized
	return nil
}

// badOptionError is what a caller of scale has asked for wrongly.
type badOptionError struct{ error }

func (e *badOptionError) Unwrap() error { return e.error }

// active is what the pool runs by, and the config that it came with.
func (l *managedPool) active() (*plan, owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plan, l.owner
}

// prepare makes a generation ready beside the one that runs, and warms it up.
func (l *managedPool) prepare(ctx context.Context, app owner, s *plan) (*pool.Prepared, error) {
	began := time.Now()
	prepared, err := l.pool.Prepare(ctx, s.starter(l.logger), s.settings)
	if err != nil {
		return nil, err
	}
	if len(s.options.Warmup) > 0 {
		if err := l.warm(ctx, app, s, prepared); err != nil {
			prepared.Discard()
			return nil, err
		}
	}
	s.logReady(l.logger, time.Since(began))
	return prepared, nil
}

// scaleJSON is the body of a scale call; what is left out stays as it is. Of a
// static pool max_workers is the number of workers.
type scaleJSON struct {
	MaxWorkers *int `json:"max_workers"`
	MinWorkers *int `json:"min_workers"`
}
