package status

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"sync"

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
// A balancer that asks for it knows when to send requests to other machines: the
// response is also 503, with the text `stopping` from the first moment of a shutdown,
// and `draining` while the pool is drained by `caddy php-pool drain`. Requests are
// served all the same. The pool `*` stands for all pools of the config.
//
// Only requests from localhost have access, and those from the ranges in allow.
type Ping struct {
	statusAccess

	// The text of the response, like php-fpm's `ping.response`. Default: `pong`.
	Response string `json:"response,omitempty"`

	names func() []string // of all pools of the config; nil unless Pool is allPools
}

// allPools is the name that stands for all pools of the config.
const allPools = "*"

// CaddyModule returns the Caddy module information.
func (Ping) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool_ping",
		New: func() caddy.Module { return new(Ping) },
	}
}

// Provision finds the pool and parses the ranges in allow.
func (p *Ping) Provision(ctx caddy.Context) error {
	if p.Pool != allPools {
		return p.provision(ctx)
	}
	app, err := ctx.App("php_pool")
	if err != nil {
		return err
	}
	// Handlers that are provisioned later may use more pools.
	p.names = sync.OnceValue(app.(poolApp).PoolNames)
	return p.parseRanges()
}

// ServeHTTP responds to the ping.
func (p *Ping) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	pools, err := p.pools(w, r)
	if err != nil {
		return err
	}
	if shuttingDown(r) {
		return fpmstatus.RespondPing(w, http.StatusServiceUnavailable, live.Stopping)
	}
	if err := ServePing(w, cmp.Or(p.Response, Pong), pools...); err != nil {
		err := caddyhttp.Error(http.StatusServiceUnavailable, err)
		live.SetRetryAfter(w.Header(), err)
		return err
	}
	return nil
}

// Pong is the default response to a ping, as in php-fpm.
const Pong = "pong"

// pools returns the pools to check. The errors are those of authorize.
func (p *Ping) pools(w http.ResponseWriter, r *http.Request) ([]*live.Pool, error) {
	if p.names == nil {
		pool, err := p.authorize(w, r)
		return []*live.Pool{pool}, err
	}
	if err := p.authorizeClient(w, r); err != nil {
		return nil, err
	}
	var pools []*live.Pool
	for _, name := range p.names() {
		if pool := live.Find(name); pool != nil {
			pools = append(pools, pool)
		}
	}
	if len(pools) == 0 {
		return nil, caddyhttp.Error(http.StatusServiceUnavailable, errors.New("the config has no pool: write php_pool in a site"))
	}
	return pools, nil
}

// shuttingDown reports whether the server stops after the shutdown_delay of Caddy. A
// reload that keeps the address does not stop it.
func shuttingDown(r *http.Request) bool {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	value, _ := repl.Get("http.shutting_down")
	down, _ := value.(bool)
	return down
}

// ServePing responds with text, or with status 503 and the reason while clients should be
// sent to other machines ([live.Pool.Unready]). If one of the pools cannot serve requests,
// it writes nothing and returns why.
func ServePing(w http.ResponseWriter, text string, pools ...*live.Pool) error {
	for _, p := range pools {
		if err := p.Pool.Ready(); err != nil && !live.Exiting() {
			return fmt.Errorf("pool %s cannot serve: %w", p.Name, err)
		}
	}
	for _, p := range pools {
		if reason := p.Unready(); reason != "" {
			return fpmstatus.RespondPing(w, http.StatusServiceUnavailable, reason)
		}
	}
	return fpmstatus.RespondPing(w, http.StatusOK, text)
}

// parsePing sets up the handler from Caddyfile tokens:
//
//	php_pool_ping [<matcher>] [<pool>|*] {
//	    allow <cidr>...|private_ranges|all
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
