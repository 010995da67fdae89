package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// toHTTPError converts an error of [pool.Pool.Do] to one with an HTTP status for
// Caddy's error routes, and logs it if PHP has not responded.
func (b *Backend) toHTTPError(err error, r *http.Request, s *cgi.Script) error {
	if r.Context().Err() != nil {
		return caddyhttp.Error(live.StatusClientClosed, err)
	}
	status := live.ErrorStatus(err)
	if _, ended := errors.AsType[*pool.ScriptError](err); ended || status == http.StatusBadGateway {
		b.logger.Error("no response from PHP", zap.String("pool", b.pool.Name),
			zap.String("script", s.Filename), zap.Error(err))
	}
	return caddyhttp.Error(status, err)
}

// bodyError converts an error from reading the request body to one with an HTTP
// status for Caddy's error routes.
func bodyError(err error) error {
	if handled, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return handled // of an earlier handler, such as request_body
	}
	_, tooLarge := errors.AsType[*spool.TooLargeError](err)
	if !tooLarge {
		_, tooLarge = errors.AsType[*http.MaxBytesError](err)
	}
	fileErr, isFileErr := errors.AsType[*spool.FileError](err)
	switch {
	case tooLarge:
		return caddyhttp.Error(http.StatusRequestEntityTooLarge, err)
	case isFileErr && fileErr.DiskFull:
		return caddyhttp.Error(http.StatusInsufficientStorage, err)
	case isFileErr:
		return caddyhttp.Error(http.StatusInternalServerError, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return caddyhttp.Error(http.StatusRequestTimeout, err)
	case errors.Is(err, context.Canceled):
		return caddyhttp.Error(live.StatusClientClosed, err)
	}
	return caddyhttp.Error(http.StatusBadRequest, err)
}
