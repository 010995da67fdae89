package live

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// retryAfter is the default of Retry-After.
const retryAfter = 5 * time.Second

// SetRetryAfter sets Retry-After if err is an HTTP error with status 429 or 503,
// which are temporary. The value is 5 seconds or, if no worker could be launched,
// the time to the next attempt.
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
