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

// Ping answers `pong` when a pool can serve, as php-fpm's ping page does, and
// 503 when it cannot. It asks no worker: a pool whose workers are all busy can
// serve, if only after a while.
//
// Only this machine may ask, unless more addresses are allowed.
type Ping struct{ statusAccess }

// CaddyModule returns the Caddy module information.
func (Ping) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool_ping",
		New: func() caddy.Module { return new(Ping) },
	}
}

// Provision parses the ranges.
func (p *Ping) Provision(caddy.Context) error { return p.provision() }

// ServeHTTP answers the ping.
func (p *Ping) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	target, err := p.authorize(w, r)
	if err != nil {
		return err
	}
	if err := ping(target, w); err != nil {
		err := caddyhttp.Error(http.StatusServiceUnavailable, err)
		live.SetRetryAfter(w.Header(), err)
		return err
	}
	return nil
}

// ping answers, unless the pool cannot serve: then it returns why.
func ping(l *live.Pool, w http.ResponseWriter) error {
	if err := l.Pool.Ready(); err != nil {
		return fmt.Errorf("pool %s cannot serve: %w", l.Name, err)
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
