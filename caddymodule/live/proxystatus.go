package live

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// proxyName is the name of php_pool in the field Proxy-Status.
const proxyName = "php_pool"

// ProxyStatus returns the member of the field Proxy-Status (RFC 9209) for an error of
// [pool.Pool.Do] of which no byte has reached PHP, so that a balancer may send the
// request to another machine, whatever its method. The type of the error says why:
// connection_limit_reached if the queue is full, connection_timeout if the request has
// waited too long, destination_unavailable if PHP cannot be started or the pool is
// closed. Those that another machine should not get either have http_request_denied:
// the client has too many requests, or the script is in quarantine. For all other errors
// it returns "".
func ProxyStatus(err error) string {
	var launch *pool.LaunchError
	var boot *pool.BootError
	kind := ""
	switch {
	case errors.Is(err, pool.ErrClientLimit), errors.Is(err, pool.ErrQuarantined):
		kind = "http_request_denied"
	case errors.Is(err, pool.ErrQueueFull):
		kind = "connection_limit_reached"
	case errors.Is(err, pool.ErrQueueTimeout):
		kind = "connection_timeout"
	case errors.Is(err, pool.ErrClosed), errors.As(err, &boot), errors.As(err, &launch):
		kind = "destination_unavailable"
	default:
		return ""
	}
	return proxyName + "; error=" + kind
}

// SetProxyStatus adds the member for err, if there is one, to the header of a response. It
// comes first, because php_pool is next to the origin (RFC 9209 section 2).
func SetProxyStatus(h http.Header, err error) {
	if member := ProxyStatus(err); member != "" {
		h["Proxy-Status"] = append([]string{member}, h["Proxy-Status"]...)
	}
}

// RemoveProxyStatus removes the values by which a script pretends that php_pool has
// refused its request: a balancer would run it again.
func RemoveProxyStatus(h http.Header) {
	values, ok := h["Proxy-Status"]
	if !ok {
		return
	}
	values = slices.DeleteFunc(values, func(v string) bool { return strings.Contains(strings.ToLower(v), proxyName) })
	if len(values) == 0 {
		delete(h, "Proxy-Status")
		return
	}
	h["Proxy-Status"] = values
}
