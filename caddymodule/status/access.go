package status

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// statusAccess is what php_pool_status and php_pool_ping have in common: the pool
// that they tell of, and who may ask.
type statusAccess struct {
	// The pool to tell of. Default: `default`.
	Pool string `json:"pool,omitempty"`

	// The IP ranges (CIDR) that may ask besides this machine.
	Allow []string `json:"allow,omitempty"`

	allow []netip.Prefix
}

// provision parses the ranges.
func (i *statusAccess) provision() error {
	if i.Pool == "" {
		i.Pool = poolcfg.DefaultPool
	}
	for _, text := range i.Allow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("allow %s is no range of addresses: write one such as 10.0.0.0/8", text)
		}
		i.allow = append(i.allow, prefix)
	}
	return nil
}

// authorize finds the pool for those who may know of it.
func (i *statusAccess) authorize(w http.ResponseWriter, r *http.Request) (*live.Pool, error) {
	if !i.allowed(r) {
		return nil, caddyhttp.Error(http.StatusForbidden, errors.New("the state of a pool is for this machine only"))
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return nil, caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("%s is not allowed here: use GET", r.Method))
	}
	p := live.Find(i.Pool)
	if p == nil {
		return nil, caddyhttp.Error(http.StatusNotFound, fmt.Errorf("there is no pool %s", i.Pool))
	}
	return p, nil
}

// allowed judges "this machine" by the address of the connection alone: a
// forwarding header makes a request somebody else's, whatever it says, since the
// left end of X-Forwarded-For is the client's own word. The ranges of allow are
// compared with the client's address as Caddy has it.
func (i *statusAccess) allowed(r *http.Request) bool {
	if isLoopback(r.RemoteAddr) && !isForwarded(r.Header) {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if isForwarded(r.Header) && !trusted {
		return false
	}
	from, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(i.allow, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

func isLoopback(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func isForwarded(h http.Header) bool {
	return len(h["X-Forwarded-For"])+len(h["Forwarded"])+len(h["X-Real-Ip"])+len(h["Via"]) > 0
}

// parse reads the directive: the pool's name, and in a block allow and the
// options that it has of its own.
func (i *statusAccess) parse(d *caddyfile.Dispenser, options map[string]func(*caddyfile.Dispenser) error) error {
	d.Next()
	directive := d.Val()
	switch args := d.RemainingArgs(); len(args) {
	case 0:
	case 1:
		i.Pool = args[0]
	default:
		return d.Errf("%s takes the name of one pool, not %d", directive, len(args))
	}
	for d.NextBlock(0) {
		name := d.Val()
		option := options[name]
		if name == "allow" {
			option = i.parseAllow
		}
		if option == nil {
			known := append(slices.Sorted(maps.Keys(options)), "allow")
			slices.Sort(known)
			return d.Errf("%s has no option %s: it knows %s", directive, name, strings.Join(known, " and "))
		}
		if err := option(d); err != nil {
			return err
		}
	}
	return nil
}

func (i *statusAccess) parseAllow(d *caddyfile.Dispenser) error {
	ranges := d.RemainingArgs()
	if len(ranges) == 0 {
		return d.Errf("allow takes at least one range of addresses: write allow 10.0.0.0/8")
	}
	i.Allow = append(i.Allow, ranges...)
	return nil
}

// noMoreArgs refuses arguments of an option that takes none.
func noMoreArgs(d *caddyfile.Dispenser) error {
	if option := d.Val(); d.NextArg() {
		return d.Errf("%s takes no value, not %s", option, d.Val())
	}
	return nil
}
