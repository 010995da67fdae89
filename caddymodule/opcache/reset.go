package opcache

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// ResetResult is how a reset went.
type ResetResult struct {
	// Reset is how many caches were told: the one of the pool, or one for each
	// worker that was idle.
	Reset int `json:"reset"`
	// AfterRequest is how many workers have a cache of their own and were
	// busy: they are replaced when their request ends.
	AfterRequest int         `json:"after_request"`
	OPcache      Description `json:"opcache"`
}

// Reset resets the OPcache by an idle worker; where each worker has its
// own, by every idle one, and replaces those that are busy after their request.
//
// PHP empties a cache when no request uses it any more. Until then it compiles
// every script anew: restarts.pending says so.
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
		out.Reset = 1
	}
	if err != nil {
		return ResetResult{}, err
	}
	c.logger.Info("the OPcache was reset by request", zap.Int("reset", out.Reset), zap.Int("after_request", out.AfterRequest))
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
			continue // it has none yet, or no more
		}
		err := c.resetOne(w.ID)
		if errors.Is(err, pool.ErrBusy) {
			if err = c.pool.Recycle(w.ID, false); err == nil {
				out.AfterRequest++
			}
		} else if err == nil {
			out.Reset++
		}
		if err != nil && !errors.Is(err, pool.ErrNoWorker) {
			return out, err
		}
	}
	return out, nil
}

// resetOne resets the OPcache that a worker uses. The next request that finds
// no other one empties it: so a question follows, whose answer is the new
// sample.
func (c *Cache) resetOne(worker uint64) error {
	a, info, err := c.query(resetHelper, callReset, worker)
	if err != nil {
		return err
	}
	if !a.Reset && !a.Status.Pending {
		return &UnavailableError{"opcache_reset() returned false"}
	}
	c.record(a, info, time.Now(), nil)
	a, info, err = c.query(resetHelper, callStatus, info.Worker)
	c.record(a, info, time.Now(), err)
	return nil
}
