package caddymodule

import (
	"net"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
)

// fakeSite returns a handler for a directory with its own pool, whose workers run
// serve on their end of the connection.
func fakeSite(tb testing.TB, root string, workers int, serve func(net.Conn)) *Handler {
	tb.Helper()
	return fakeSiteOf(tb, root, livetest.NewPool(tb, workers, serve, nil))
}

// fakeSiteOf returns a handler for a directory that uses the pool.
func fakeSiteOf(tb testing.TB, root string, p *live.Pool) *Handler {
	tb.Helper()
	h := &Handler{Backend: Backend{
		Root: root, RequestBuffers: defaultRequestBuffers,
		site: cgi.Site{Root: root, ResolveRootSymlink: true}, pool: p, logger: zap.NewNop(),
	}}
	if err := h.site.Provision(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: tb.Context()})
	tb.Cleanup(cancel)
	var err error
	if h.router, err = cgi.NewRouter(ctx, &h.site, "", nil); err != nil {
		tb.Fatal(err)
	}
	return h
}

// prepareRequest adds to a request what Caddy's server adds: the context values that
// handlers read.
func prepareRequest(r *http.Request, server *caddyhttp.Server) *http.Request {
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, server)
}

// statusOf returns the HTTP status of an error: 0 for nil, -1 if it has no status.
func statusOf(err error) int {
	if err == nil {
		return 0
	}
	if h, ok := err.(caddyhttp.HandlerError); ok { //nolint:errorlint // Caddy reads the outermost one
		return h.StatusCode
	}
	return -1
}
