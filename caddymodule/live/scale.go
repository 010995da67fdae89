package live

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Size is the body of a scale request. A missing field leaves its value
// unchanged. For a static pool max_workers is the number of workers.
type Size struct {
	MaxWorkers *int `json:"max_workers"`
	MinWorkers *int `json:"min_workers"`
}

// apply sets the size in the options that the pool's manager uses, and validates
// them.
func (size Size) apply(o *poolcfg.Options) error {
	if size.MaxWorkers == nil && size.MinWorkers == nil {
		return errors.New("max_workers and min_workers are missing: set at least one")
	}
	if n := size.MaxWorkers; n != nil {
		if *n < 1 {
			return fmt.Errorf("max_workers %d is out of range: write a number from 1 to %d", *n, poolcfg.MaxWorkers)
		}
		if o.EffectiveManager() == pool.Static {
			o.Workers = *n
		} else {
			o.MaxWorkers = *n
			o.StartWorkers = min(o.StartWorkers, *n) // only validated: the pool has started
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

// ErrConfigChanged means that a config was loaded during a call of Scale.
var ErrConfigChanged = errors.New("another config was loaded meanwhile: check the pool's size and retry")

// BadOptionError means that the size that was passed to Scale is not valid.
type BadOptionError struct{ error }

// Unwrap returns the cause.
func (e *BadOptionError) Unwrap() error { return e.error }

// Scale changes the size of the pool until the next config is loaded, and waits
// until the workers are launched or stopped. It reports whether it started a new
// generation, which it does if the running one has too few slots. The errors are
// ErrNotStarted, ErrConfigChanged, *BadOptionError, and those of starting PHP.
func (p *Pool) Scale(ctx context.Context, size Size) (newGeneration bool, err error) {
	p.changeMu.Lock()
	defer p.changeMu.Unlock()
	current, app := p.Active()
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
	if err := p.checkTotal(&sized.Settings); err != nil {
		return false, &BadOptionError{err}
	}
	if options.IsAuto() {
		sized.Settings.Slots = current.Settings.Slots
	} else {
		sized.Sizing = nil
	}
	var prepared *pool.Prepared
	if !p.Pool.HasCapacityFor(&sized.Settings) {
		if prepared, err = p.prepare(ctx, app, &sized); err != nil {
			return false, err
		}
	}
	if err := p.resizeTo(current, &sized, prepared); err != nil {
		return false, err
	}
	stableCtx, cancel := context.WithTimeout(ctx, sized.Settings.StartTimeout)
	defer cancel()
	p.Pool.WaitStable(stableCtx)
	return prepared != nil, nil
}

// resizeTo activates a plan that differs from the current one in size only.
func (p *Pool) resizeTo(current, sized *poolcfg.Plan, prepared *pool.Prepared) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.plan != current:
		if prepared != nil {
			go prepared.Discard()
		}
		return ErrConfigChanged
	case prepared != nil:
		if err := prepared.Commit(); err != nil {
			return err
		}
		p.logGeneration("scale", sized)
	default:
		p.Pool.Configure(sized.Settings)
	}
	p.logger.Info("pool resized by request", zap.Int("old_max", current.Settings.MaxWorkers), zap.Int("new_max", sized.Settings.MaxWorkers))
	p.plan = sized
	return nil
}

// Resize activates a plan whose automatic size was computed again from the memory
// that the workers use. It does nothing if the settings of another config are
// active, if Scale has set the size, or if the generation has too few slots.
func (p *Pool) Resize(app Owner, plan *poolcfg.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner != app || p.plan == nil || plan.Sizing == nil || plan.Settings.MaxWorkers == p.plan.Settings.MaxWorkers ||
		p.plan.Options != plan.Options || // set by Scale
		!p.Pool.HasCapacityFor(&plan.Settings) {
		return
	}
	p.logger.Info("pool resized", zap.Int("old_max", p.plan.Settings.MaxWorkers), zap.Int("new_max", plan.Settings.MaxWorkers),
		zap.String("sizing", plan.Sizing.Summary))
	p.plan = plan
	p.Pool.Configure(plan.Settings)
}
