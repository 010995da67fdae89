package opcache

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// ResetResult is the result of a reset.
type ResetResult struct {
	// WorkersReset is the number of workers that reset their OPcache: one if all
	// workers share it, else each that was idle.
	WorkersReset int `json:"workers_reset"`
	// Deferred is the number of busy workers that have their own OPcache. They are
	// replaced when their request ends.
	Deferred int         `json:"deferred"`
	OPcache  Description `json:"opcache"`
}

// Reset resets the OPcache with the help of an idle worker. If each worker has its
// own, Reset resets those of all idle workers, and replaces the busy workers when
// their request ends. The error is an [*UnavailableError] if PHP cannot reset it, or
// an error of package pool.
//
// PHP empties an OPcache when no request uses it. Until then it compiles every
// script for each request, and Restarts.Pending is true.
func (c *Cache) Reset(ctx context.Context) (ResetResult, error) {
	scope, err := c.scope()
	if err != nil {
		return ResetResult{}, err
	}
	if err := c.lock(ctx); err != nil {
		return ResetResult{}, err
	}
	defer c.unlock()
	var out ResetResult
	if scope == ScopeWorker {
		out, err = c.resetEach(ctx)
	} else if err = c.resetOne(0); err == nil {
		out.WorkersReset = 1
	}
	if err != nil {
		return ResetResult{}, err
	}
	c.logger.Info("OPcache reset requested", zap.Int("workers_reset", out.WorkersReset), zap.Int("deferred", out.Deferred))
	out.OPcache = c.Describe()
	return out, nil
}

// resetEach resets the OPcache of every worker.
func (c *Cache) resetEach(ctx context.Context) (out ResetResult, err error) {
	if c.pool.Stats().Workers.Total == 0 {
		return out, pool.ErrNoWorkers
	}
	for _, w := range c.pool.Workers() {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if w.State == pool.Starting || w.State == pool.Stopping || w.State == pool.Gone {
			continue // it has no OPcache yet, or is about to exit
		}
		err := c.resetOne(w.ID)
		if errors.Is(err, pool.ErrBusy) {
			if err = c.pool.Recycle(w.ID, false); err == nil {
				out.Deferred++
			}
		} else if err == nil {
			out.WorkersReset++
		}
		if err != nil && !errors.Is(err, pool.ErrNoWorker) {
			return out, err
		}
	}
	return out, nil
}

// resetOne resets the OPcache that a worker uses. PHP empties it at the beginning of
// the next request, if no other is running, so a query follows, which also returns
// the new sample.
func (c *Cache) resetOne(worker uint64) error {
	resp, info, err := c.query(resetHelper, callReset, worker)
	if err != nil {
		return err
	}
	if !resp.Reset && !resp.Status.Pending {
		return &UnavailableError{"opcache_reset() returned false"}
	}
	c.record(resp, info, time.Now(), nil)
	resp, info, err = c.query(resetHelper, callStatus, info.Worker)
	c.record(resp, info, time.Now(), err)
	return nil
}
