package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// showOPcache tells of the pool's OPcache as an idle worker sees it.
func showOPcache(w http.ResponseWriter, r *http.Request, l *livePool, _ string) error {
	if asking := l.refreshOPcache(); asking != nil {
		select {
		case <-asking:
		case <-r.Context().Done():
			return nil // nobody is left to answer
		}
	}
	return answerJSON(w, l.describeOPcache())
}

// clearedJSON is how a reset went.
type clearedJSON struct {
	// Reset is how many caches were told: the one of the pool, or one for each
	// worker that was idle.
	Reset int `json:"reset"`
	// AfterRequest is how many workers have a cache of their own and were
	// busy: they are replaced when their request ends.
	AfterRequest int         `json:"after_request"`
	OPcache      opcacheJSON `json:"opcache"`
}

// clearOPcache empties the pool's OPcache.
func clearOPcache(w http.ResponseWriter, r *http.Request, l *livePool, _ string) error {
	out, err := l.clearOPcache(r.Context())
	if err != nil {
		return clearError(err)
	}
	return answerJSON(w, out)
}

// clearError is why no OPcache was emptied.
func clearError(err error) error {
	switch {
	case errors.Is(err, pool.ErrBusy):
		return caddy.APIError{
			HTTPStatus: http.StatusServiceUnavailable,
			Err: fmt.Errorf("%w, and PHP can empty its OPcache only from within: "+
				"ask again, or restart the pool", err),
		}
	case errors.Is(err, pool.ErrAtRest):
		return caddy.APIError{
			HTTPStatus: http.StatusConflict,
			Err:        fmt.Errorf("%w, and none is started for this: restart the pool to empty its OPcache", err),
		}
	case isUnavailable(err):
		return caddy.APIError{
			HTTPStatus: http.StatusConflict,
			Err:        fmt.Errorf("the OPcache cannot be reset: %w: restart the pool to empty it", err),
		}
	}
	return changeError(err)
}

// clearOPcache resets the OPcache by an idle worker; where each worker has its
// own, by every idle one, and replaces those that are busy after their request.
//
// PHP empties a cache when no request uses it any more. Until then it compiles
// every script anew: restarts.pending says so.
func (l *livePool) clearOPcache(ctx context.Context) (clearedJSON, error) {
	scope := l.opcacheScope()
	if scope == "" {
		return clearedJSON{}, errNotStarted
	}
	if err := l.opcache.seize(ctx); err != nil {
		return clearedJSON{}, err
	}
	defer l.opcache.release()
	var out clearedJSON
	var err error
	if scope == scopeWorker {
		out, err = l.clearEach(ctx)
	} else if err = l.clearOne(0); err == nil {
		out.Reset = 1
	}
	if err != nil {
		return clearedJSON{}, err
	}
	l.logger.Info("the OPcache was reset by request", zap.Int("reset", out.Reset), zap.Int("after_request", out.AfterRequest))
	out.OPcache = l.describeOPcache()
	return out, nil
}

// clearEach resets the OPcache of every worker.
func (l *livePool) clearEach(ctx context.Context) (out clearedJSON, err error) {
	if l.pool.Stats().Workers.Total == 0 {
		return out, pool.ErrAtRest
	}
	for _, w := range l.pool.Workers() {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if w.State == pool.Starting || w.State == pool.Stopping || w.State == pool.Gone {
			continue // it has none yet, or no more
		}
		err := l.clearOne(w.ID)
		if errors.Is(err, pool.ErrBusy) {
			if err = l.pool.Recycle(w.ID, false); err == nil {
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

// clearOne resets the OPcache that a worker uses. The next request that finds
// no other one empties it: so a question follows, whose answer is the new
// sample.
func (l *livePool) clearOne(worker uint64) error {
	answer, asked, err := l.askOPcache(resetHelper, callReset, worker)
	if err != nil {
		return err
	}
	if !answer.Reset && !answer.Status.Pending {
		return &unavailableError{"opcache_reset() returned false"}
	}
	l.opcache.keep(answer, asked, time.Now(), nil)
	answer, asked, err = l.askOPcache(resetHelper, callStatus, asked.Worker)
	l.opcache.keep(answer, asked, time.Now(), err)
	return nil
}
