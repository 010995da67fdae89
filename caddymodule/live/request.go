package live

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/threads"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Acquire keeps the pool open for a request. Each call needs a call of Release.
func (p *Pool) Acquire() { p.refs.Add(1) }

// Release ends the use of the pool that Acquire began.
func (p *Pool) Release() {
	if p.refs.Add(-1) == 0 && p.closing.Load() {
		select {
		case p.idle <- struct{}{}:
		default:
		}
	}
}

// InUse returns the number of requests in the pool's handlers.
func (p *Pool) InUse() int64 { return p.refs.Load() }

// CheckAdminINI returns an error with status 500 for a script that admin_ini does
// not cover, because its top-level directory did not exist when PHP was started.
func (p *Pool) CheckAdminINI(script string) error {
	dirs := p.adminINIDirs.Load()
	if dirs == nil || (*dirs)[phpbin.TopLevelDir(script)] {
		return nil
	}
	return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("admin_ini of pool %s does not cover %s: "+
		"its top-level directory did not exist when PHP was started; restart the pool", p.Name, script))
}

// Do sends a request to PHP. Requests of a warmup are sent to the generation that
// is being warmed up, and not to another pool: two pools of a site whose warmups wait
// for each other would never be ready.
func (p *Pool) Do(ctx context.Context, r *pool.Request) (*pool.Response, error) {
	threads.Request()
	if activeWarmups.Load() == 0 {
		return p.Pool.Do(ctx, r)
	}
	w, ok := ctx.Value(warmupRouteKey{}).(*warmupRoute)
	switch {
	case !ok:
		return p.Pool.Do(ctx, r)
	case w.prepared == nil:
		w.pool = p
		w.cancel() // so that it is not reported as an error
		return nil, ctx.Err()
	case w.pool != p:
		w.otherPool = true
		return nil, errOtherPool
	}
	w.reachedPHP = true
	w.captureStderr(r.FastCGI)
	resp, err := w.prepared.Do(ctx, w.worker, r)
	w.doErr = err
	return resp, err
}
