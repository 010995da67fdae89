package status

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
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
type Ping struct {
	statusAccess

	// The text of the response, like php-fpm's `ping.response`. Default: `pong`.
	Response string `json:"response,omitempty"`
}

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
	if err := ServePing(pool, w, cmp.Or(p.Response, Pong)); err != nil {
		err := caddyhttp.Error(http.StatusServiceUnavailable, err)
		live.SetRetryAfter(w.Header(), err)
		return err
	}
	return nil
}

// Pong is the default response to a ping, as in php-fpm.
const Pong = "pong"

// ServePing responds with text. If the pool cannot serve requests, it writes nothing and
// returns the reason.
func ServePing(p *live.Pool, w http.ResponseWriter, text string) error {
	if err := p.Pool.Ready(); err != nil {
		return fmt.Errorf("pool %s cannot serve: %w", p.Name, err)
	}
	return fpmstatus.RespondPing(w, text)
}

// parsePing sets up the handler from Caddyfile tokens:
//
//	php_pool_ping [<matcher>] [<pool>] {
//	    allow <cidr>...
//	    response <text>
//	}
func parsePing(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	p := new(Ping)
	return p, p.parse(h.Dispenser, map[string]func(*caddyfile.Dispenser) error{
		"response": func(d *caddyfile.Dispenser) error {
			if !d.AllArgs(&p.Response) || p.Response == "" {
				return d.Err("response needs one text, in quotes if it has blanks: write response pong")
			}
			return nil
		},
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Ping)(nil)
	_ caddyhttp.MiddlewareHandler = (*Ping)(nil)
)
