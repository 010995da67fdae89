package status

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/fpmstatus"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

func init() {
	caddy.RegisterModule(Ping{})
	httpcaddyfile.RegisterHandlerDirective("php_pool_ping", parsePing)
	httpcaddyfile.RegisterDirectiveOrder("php_pool_ping", httpcaddyfile.Before, "reverse_proxy")
}

// Ping responds with `pong` if a pool can serve requests, as php-fpm's ping page
// does, and with status 503 if it cannot. It needs no worker: a pool can serve
// requests while all its workers are busy, because they are queued.
//
// Only requests from localhost have access, and those from the ranges in allow.
type Ping struct{ statusAccess }

// CaddyModule returns the Caddy module information.
func (Ping) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool_ping",
		New: func() caddy.Module { return new(Ping) },
	}
}

// Provision finds the pool and parses the ranges in allow.
func (p *Ping) Provision(ctx caddy.Context) error { return p.provision(ctx) }

// ServeHTTP responds to the ping.
func (p *Ping) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	pool, err := p.authorize(w, r)
	if err != nil {
		return err
	}
	if err := ping(pool, w); err != nil {
		err := caddyhttp.Error(http.StatusServiceUnavailable, err)
		live.SetRetryAfter(w.Header(), err)
		return err
	}
	return nil
}

// ping responds with pong. If the pool cannot serve requests, it writes nothing and
// returns the reason.
func ping(p *live.Pool, w http.ResponseWriter) error {
	if err := p.Pool.Ready(); err != nil {
		return fmt.Errorf("pool %s cannot serve: %w", p.Name, err)
	}
	return fpmstatus.RespondPong(w)
}

// parsePing sets up the handler from Caddyfile tokens:
//
//	php_pool_ping [<matcher>] [<pool>] {
//	    allow <cidr>...
//	}
func parsePing(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Ping)
	return p, p.parse(h.Dispenser, nil)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Ping)(nil)
	_ caddyhttp.MiddlewareHandler = (*Ping)(nil)
)
