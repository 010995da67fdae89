package status

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/opcache"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// showOPcache responds with the state of the pool's OPcache, which an idle worker
// reports.
func showOPcache(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	if done := p.OPcache.Refresh(); done != nil {
		select {
		case <-done:
		case <-r.Context().Done():
			return nil // the client disconnected
		}
	}
	return writeJSON(w, p.OPcache.Describe())
}

// resetOPcache resets the pool's OPcache.
func resetOPcache(w http.ResponseWriter, r *http.Request, p *live.Pool, _ string) error {
	out, err := p.OPcache.Reset(r.Context())
	if err != nil {
		return resetError(err)
	}
	return writeJSON(w, out)
}

// resetError returns the API error for a reset of OPcache that failed.
func resetError(err error) error {
	_, unavailable := errors.AsType[*opcache.UnavailableError](err)
	switch {
	case errors.Is(err, pool.ErrBusy):
		return caddy.APIError{
			HTTPStatus: http.StatusServiceUnavailable,
			Err: fmt.Errorf("%w, and only a worker can reset the OPcache: "+
				"retry, or restart the pool", err),
		}
	case errors.Is(err, pool.ErrNoWorkers):
		return caddy.APIError{
			HTTPStatus: http.StatusConflict,
			Err:        fmt.Errorf("%w, and a reset does not start one: restart the pool to reset its OPcache", err),
		}
	case unavailable:
		return caddy.APIError{
			HTTPStatus: http.StatusConflict,
			Err:        fmt.Errorf("OPcache cannot be reset: %w: restart the pool instead", err),
		}
	}
	return changeError(err)
}
