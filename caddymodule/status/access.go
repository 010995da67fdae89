package status

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/clients"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

// statusAccess has the options that php_pool_status and php_pool_ping share: the
// pool, and the clients that have access.
type statusAccess struct {
	// The name of the pool. Default: the pool of the php_pool handler in the same
	// site, or else the only pool of the config.
	Pool string `json:"pool,omitempty"`

	// IP ranges in CIDR notation whose clients have access, in addition to
	// localhost; `private_ranges` stands for those that Caddy calls so, and `all`
	// for every client.
	Allow []string `json:"allow,omitempty"`

	allowed clients.Set
	name    string // of the pool
}

// provision finds the pool and parses Allow.
func (a *statusAccess) provision(ctx caddy.Context) (err error) {
	if a.name, err = findPool(ctx, a.Pool); err != nil {
		return err
	}
	return a.parseRanges()
}

// parseRanges parses Allow.
func (a *statusAccess) parseRanges() (err error) {
	a.allowed, err = clients.Parse("allow", a.Allow)
	return err
}

// authorize returns the pool. It returns an HTTP error if the client has no access,
// the method is not GET or HEAD, or the pool does not exist.
func (a *statusAccess) authorize(w http.ResponseWriter, r *http.Request) (*live.Pool, error) {
	if err := a.authorizeClient(w, r); err != nil {
		return nil, err
	}
	p := live.Find(a.name)
	if p == nil {
		return nil, caddyhttp.Error(http.StatusNotFound, fmt.Errorf("there is no pool %s", a.name))
	}
	return p, nil
}

// authorizeClient returns an HTTP error if the client has no access, or the method is not
// GET or HEAD.
func (a *statusAccess) authorizeClient(w http.ResponseWriter, r *http.Request) error {
	if !a.allowed.Contains(r) {
		return caddyhttp.Error(http.StatusForbidden, errors.New("pool status is only available from localhost: add the client's address to allow"))
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("method %s is not allowed: use GET", r.Method))
	}
	return nil
}

// parse reads the directive: the name of the pool, and a block with allow and the
// directive's own options.
func (a *statusAccess) parse(d *caddyfile.Dispenser, options map[string]func(*caddyfile.Dispenser) error) error {
	d.Next()
	directive := d.Val()
	switch args := d.RemainingArgs(); len(args) {
	case 0:
	case 1:
		a.Pool = args[0]
	default:
		return d.Errf("%s takes one pool name, not %d", directive, len(args))
	}
	for d.NextBlock(0) {
		name := d.Val()
		option := options[name]
		if name == "allow" {
			option = a.parseAllow
		}
		if option == nil {
			names := append(slices.Collect(maps.Keys(options)), "allow")
			slices.Sort(names)
			return d.Errf("unrecognized %s option %q (one of: %s)", directive, name, strings.Join(names, ", "))
		}
		if err := option(d); err != nil {
			return err
		}
	}
	return nil
}

func (a *statusAccess) parseAllow(d *caddyfile.Dispenser) error {
	ranges := d.RemainingArgs()
	if len(ranges) == 0 {
		return d.Errf("allow needs at least one IP range: write allow 10.0.0.0/8")
	}
	a.Allow = append(a.Allow, ranges...)
	return nil
}

// noMoreArgs returns an error if an option that takes no value has one.
func noMoreArgs(d *caddyfile.Dispenser) error {
	if option := d.Val(); d.NextArg() {
		return d.Errf("%s takes no value, not %s", option, d.Val())
	}
	return nil
}
