package live

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Size is the body of a scale call; what is left out stays as it is. Of a
// static pool max_workers is the number of workers.
type Size struct {
	MaxWorkers *int `json:"max_workers"`
	MinWorkers *int `json:"min_workers"`
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

// BadOptionError is what a caller of scale has asked for wrongly.
type BadOptionError struct{ error }

func (e *BadOptionError) Unwrap() error { return e.error }

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

// Resize gives the pool the size that its workers turned out to need, if the
// config is the one in force and the generation has room for it.
func (l *Pool) Resize(app owner, s *poolcfg.Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner != app || l.plan == nil || s.Sizing == nil || s.Settings.MaxWorkers == l.plan.Settings.MaxWorkers ||
		l.plan.Options != s.Options || // resized by request
		!l.Pool.HasCapacityFor(&s.Settings) {
		return
	}
	l.logger.Info("pool resized", zap.Int("old_max", l.plan.Settings.MaxWorkers), zap.Int("new_max", s.Settings.MaxWorkers), zap.String("sizing", s.Sizing.Summary))
	l.plan = s
	l.Pool.Configure(s.Settings)
}
