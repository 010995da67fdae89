package live

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/mevdschee/caddy-php-pool/pool"
)

func TestProxyStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{pool.ErrQueueFull, "php_pool; error=connection_limit_reached"},
		{fmt.Errorf("x: %w", pool.ErrQueueTimeout), "php_pool; error=connection_timeout"},
		{pool.ErrClosed, "php_pool; error=destination_unavailable"},
		{&pool.LaunchError{Err: errors.New("no php-cgi")}, "php_pool; error=destination_unavailable"},
		{pool.ErrQuarantined, "php_pool; error=http_request_denied"},
		{pool.ErrClientLimit, "php_pool; error=http_request_denied"},
		// PHP may have run.
		{pool.ErrWorkerDied, ""},
		{pool.ErrRequestTimeout, ""},
		{&pool.ScriptError{}, ""},
		{errors.New("other"), ""},
	} {
		h := http.Header{"Proxy-Status": {"edge; error=dns_error"}}
		SetProxyStatus(h, c.err)
		want := []string{"edge; error=dns_error"}
		if c.want != "" {
			want = append([]string{c.want}, want...)
		}
		if got := h["Proxy-Status"]; !slices.Equal(got, want) {
			t.Errorf("%v: got %q, want %q", c.err, got, want)
		}
	}
}

func TestProxyStatus_OfScript(t *testing.T) {
	h := http.Header{"Proxy-Status": {"PHP_pool; error=connection_limit_reached", "cdn; error=dns_error", `"php_pool";error=connection_timeout`}}
	RemoveProxyStatus(h)
	if got := h["Proxy-Status"]; !slices.Equal(got, []string{"cdn; error=dns_error"}) {
		t.Errorf("got %q", got)
	}
	h = http.Header{"Proxy-Status": {"php_pool; error=connection_limit_reached"}}
	RemoveProxyStatus(h)
	if got, ok := h["Proxy-Status"]; ok {
		t.Errorf("got %q", got)
	}
}
