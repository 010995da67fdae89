package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(Status{})
	httpcaddyfile.RegisterHandlerDirective("php_pool_status", parseStatus)
	httpcaddyfile.RegisterDirectiveOrder("php_pool_status", httpcaddyfile.Before, "reverse_proxy")
}

// Status answers with the state of a pool, in the JSON of php-fpm's status
// page: with `?full` also that of each worker.
//
// Only this machine may ask, unless more addresses are allowed.
type Status struct {
	// The pool to tell of. Default: `default`.
	Pool string `json:"pool,omitempty"`

	// The IP ranges (CIDR) that may ask besides this machine.
	Allow []string `json:"allow,omitempty"`

	allow []netip.Prefix
}

// CaddyModule returns the Caddy module information.
func (Status) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.php_pool_status",
		New: func() caddy.Module { return new(Status) },
	}
}

// Provision parses the ranges.
func (s *Status) Provision(caddy.Context) error {
	if s.Pool == "" {
		s.Pool = defaultPool
	}
	for _, text := range s.Allow {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("allow %s is no range of addresses: write one such as 10.0.0.0/8", text)
		}
		s.allow = append(s.allow, prefix)
	}
	return nil
}

// ServeHTTP answers with the pool's state.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if !s.allowed(r) {
		return caddyhttp.Error(http.StatusForbidden, errors.New("the pool's status is for this machine only"))
	}
	live := findPool(s.Pool)
	if live == nil {
		return caddyhttp.Error(http.StatusNotFound, fmt.Errorf("there is no pool %s", s.Pool))
	}
	_, full := r.URL.Query()["full"]
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate, max-age=0")
	return json.NewEncoder(w).Encode(fpmStatusOf(live.pool, full))
}

// allowed judges "this machine" by the address of the connection alone: a
// forwarding header makes a request somebody else's, whatever it says, since the
// left end of X-Forwarded-For is the client's own word. The ranges of allow are
// compared with the client's address as Caddy has it.
func (s *Status) allowed(r *http.Request) bool {
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
	return slices.ContainsFunc(s.allow, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

func isLoopback(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

func isForwarded(h http.Header) bool {
	return len(h["X-Forwarded-For"])+len(h["Forwarded"])+len(h["X-Real-Ip"])+len(h["Via"]) > 0
}

// findPool finds a running pool by its name.
func findPool(name string) *livePool {
	var found *livePool
	pools.Range(func(key, value any) bool {
		if key == name {
			found = value.(*livePool)
		}
		return found == nil
	})
	return found
}

// parseStatus sets up the handler from Caddyfile tokens:
//
//	php_pool_status [<matcher>] [<pool>] {
//	    allow <cidr>...
//	}
func parseStatus(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Status)
	h.Next() // the directive's name
	switch args := h.RemainingArgs(); len(args) {
	case 0:
	case 1:
		s.Pool = args[0]
	default:
		return nil, h.Errf("php_pool_status takes the name of one pool, not %d", len(args))
	}
	for h.NextBlock(0) {
		if err := s.option(h.Dispenser); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Status) option(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "allow":
		ranges := d.RemainingArgs()
		if len(ranges) == 0 {
			return d.Errf("allow takes at least one range of addresses: write allow 10.0.0.0/8")
		}
		s.Allow = append(s.Allow, ranges...)
	default:
		return d.Errf("php_pool_status has no option %s: it knows allow", d.Val())
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Status)(nil)
	_ caddyhttp.MiddlewareHandler = (*Status)(nil)
)
