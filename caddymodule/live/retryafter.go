package live

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// retryAfter is what a client is told that found the line too long.
const retryAfter = 5 * time.Second

// SetRetryAfter adds Retry-After to an error that passes by itself.
func SetRetryAfter(h http.Header, err error) {
	var handled caddyhttp.HandlerError
	if !errors.As(err, &handled) ||
		handled.StatusCode != http.StatusServiceUnavailable && handled.StatusCode != http.StatusTooManyRequests {
		return
	}
	wait := retryAfter
	var launch *pool.LaunchError
	if errors.As(err, &launch) && launch.RetryIn > 0 {
		wait = launch.RetryIn
	}
	h.Set("Retry-After", strconv.Itoa(max(1, int(wait.Seconds()))))
}
