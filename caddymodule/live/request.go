package live

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Acquire and leave are called around each request.
func (l *Pool) Acquire() { l.refs.Add(1) }

func (l *Pool) Release() {
	if l.refs.Add(-1) == 0 && l.closing.Load() {
		select {
		case l.idle <- struct{}{}:
		default:
		}
	}
}

// InUse returns how many requests are in the pool's handlers.
func (l *Pool) InUse() int64 { return l.refs.Load() }

// CheckAdminINI refuses a script for which the administrator's settings would not be in
// force, because its top-level directory was not there when PHP was started.
func (l *Pool) CheckAdminINI(script string) error {
	dirs := l.adminINIDirs.Load()
	if dirs == nil || (*dirs)[phpbin.TopLevelDir(script)] {
		return nil
	}
	return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("admin_ini of pool %s does not hold for %s: "+
		"its top-level directory was not there when PHP was started; restart the pool", l.Name, script))
}

// Do sends a request to PHP: to a generation that is being warmed up where the
// request is part of that.
func (l *Pool) Do(ctx context.Context, r *pool.Request) (*pool.Response, error) {
	if l.activeWarmups.Load() == 0 {
		return l.Pool.Do(ctx, r)
	}
	w, ok := ctx.Value(warmupRouteKey{}).(*warmupRoute)
	if !ok || w.pool != l {
		return l.Pool.Do(ctx, r)
	}
	w.reached = true
	x, err := w.prepared.Do(ctx, w.worker, r)
	w.lost = err
	return x, err
}
