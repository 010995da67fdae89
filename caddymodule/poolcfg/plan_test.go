package poolcfg

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// A short run of php-cgi may take as long as its start, but 10 seconds at least.
func TestPlan_DetectTimeout(t *testing.T) {
	for _, c := range []struct{ startTimeout, want time.Duration }{
		{0, 30 * time.Second}, {time.Minute, time.Minute}, {time.Second, 10 * time.Second},
	} {
		var limit time.Duration
		locator := PHPLocator{
			Find: func(string) (string, error) { return "/bin/sh", nil },
			Detect: func(ctx context.Context, _ string, _ phpbin.Options) (*phpbin.Binary, error) {
				deadline, _ := ctx.Deadline()
				limit = time.Until(deadline)
				return nil, context.DeadlineExceeded
			},
		}
		options := &Options{StartTimeout: caddy.Duration(c.startTimeout)}
		if _, err := NewPlan(t.Context(), zap.NewNop(), options, locator); err == nil {
			t.Error("got no error")
		}
		if limit > c.want || limit < c.want-5*time.Second {
			t.Errorf("start_timeout %v: php-cgi may run for %v, want %v", c.startTimeout, limit, c.want)
		}
	}
}

// The error of a php-cgi that hangs names the option that gives it more time.
func TestPlan_DetectTimeoutError(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Nanosecond, errDetectTimeout(time.Minute))
	defer cancel()
	_, err := phpbin.Detect(ctx, "/bin/sh", phpbin.Options{})
	if err == nil || !strings.Contains(err.Error(), "/bin/sh did not respond") || !strings.Contains(err.Error(), "start_timeout") {
		t.Errorf("got %v, want an error that names the file and start_timeout", err)
	}
}
