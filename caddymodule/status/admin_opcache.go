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

// showOPcache tells of the pool's OPcache as an idle worker sees it.
func showOPcache(w http.ResponseWriter, r *http.Request, l *live.Pool, _ string) error {
	if asking := l.OPcache.Refresh(); asking != nil {
		select {
		case <-asking:
		case <-r.Context().Done():
			return nil // nobody is left to answer
		}
	}
	return writeJSON(w, l.OPcache.Describe())
}

// clearOPcache empties the pool's OPcache.
func clearOPcache(w http.ResponseWriter, r *http.Request, l *live.Pool, _ string) error {
	out, err := l.OPcache.Reset(r.Context())
	if err != nil {
		return clearError(err)
	}
	return writeJSON(w, out)
}

// clearError is why no OPcache was emptied.
func clearError(err error) error {
	_, unavailable := errors.AsType[*opcache.UnavailableError](err)
	switch {
	case errors.Is(err, pool.ErrBusy):
		return caddy.APIError{
			HTTPStatus: http.StatusServiceUnavailable,
			Err: fmt.Errorf("%w, and PHP can empty its OPcache only from within: "+
				"ask again, or restart the pool", err),
		}
	case errors.Is(err, pool.ErrNoWorkers):
		return caddy.APIError{
			HTTPStatus: http.StatusConflict,
			Err:        fmt.Errorf("%w, and none is started for this: restart the pool to empty its OPcache", err),
		}
	case unavailable:
		return caddy.APIError{
			HTTPStatus: http.StatusConflict,
			Err:        fmt.Errorf("the OPcache cannot be reset: %w: restart the pool to empty it", err),
		}
	}
	return changeError(err)
}
