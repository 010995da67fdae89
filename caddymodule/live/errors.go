package live

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// StatusClientClosed is nginx's status for "client closed request", which Caddy
// also uses in its access log. It is never sent.
const StatusClientClosed = 499

// ErrorStatus returns the HTTP status for an error of [pool.Pool.Do].
func ErrorStatus(err error) int {
	var launch *pool.LaunchError
	var boot *pool.BootError
	var script *pool.ScriptError
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
	case errors.As(err, &boot):
		return http.StatusServiceUnavailable
	case errors.As(err, &script):
		return http.StatusInternalServerError
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
		return StatusClientClosed
	}
	return http.StatusBadGateway
}
