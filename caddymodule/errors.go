package caddymodule

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// statusClientClosed is nginx's status for "client closed request", which Caddy
// also uses in its access log. It is never sent.
const statusClientClosed = 499

// toHTTPError converts an error of [pool.Pool.Do] to one with an HTTP status for
// Caddy's error routes, and logs it if PHP has not responded.
func (b *Backend) toHTTPError(err error, r *http.Request, s *cgi.Script) error {
	if r.Context().Err() != nil {
		return caddyhttp.Error(statusClientClosed, err)
	}
	status := errorStatus(err)
	if status == http.StatusBadGateway {
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
		return caddyhttp.Error(statusClientClosed, err)
	}
	return caddyhttp.Error(http.StatusBadRequest, err)
}

// errorStatus returns the HTTP status for an error of [pool.Pool.Do].
func errorStatus(err error) int {
	var launch *pool.LaunchError
	var param *fastcgi.ParamError
	var body *fastcgi.BodyError
	var timeout net.Error
	switch {
	case errors.Is(err, pool.ErrClientLimit):
		// Not 503: the server is able to serve other clients.
		return http.StatusTooManyRequests
	case errors.Is(err, pool.ErrQueueFull), errors.Is(err, pool.ErrQueueTimeout),
		errors.Is(err, pool.ErrQuarantined), errors.Is(err, pool.ErrClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, pool.ErrRequestTimeout):
		return http.StatusGatewayTimeout
	case errors.As(err, &launch), errors.Is(err, pool.ErrWorkerDied):
		return http.StatusBadGateway
	case errors.As(err, &param):
		if param.NUL {
			return http.StatusBadRequest
		}
		return http.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &body):
		return http.StatusInternalServerError
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return statusClientClosed
	}
	return http.StatusBadGateway
}
