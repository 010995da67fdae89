package clients

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

// Set is a set of clients. The zero value has those of this machine.
type Set struct {
	ranges []netip.Prefix
	all    bool
}

// Parse returns the clients of this machine and those that the values of an option name:
// IP addresses, ranges in CIDR notation, `private_ranges` for what Caddy calls so, and
// `all` for every client. Caddy's global placeholders are replaced.
func Parse(option string, values []string) (Set, error) {
	var s Set
	for _, text := range values {
		expanded, err := poolcfg.Expand(option, text)
		if err != nil {
			return s, err
		}
		ranges, err := ParseRange(option, expanded)
		if err != nil {
			return s, err
		}
		s.ranges = append(s.ranges, ranges...)
		s.all = s.all || expanded == allClients
	}
	return s, nil
}

// Contains reports whether the set has the client that sent the request. Only a direct
// connection from a loopback address counts as one of this machine: a request with a
// forwarding header comes from another client, and the addresses in X-Forwarded-For may
// be forged. The ranges are compared with the client IP that Caddy has determined.
func (s Set) Contains(r *http.Request) bool {
	forwarded := isForwarded(r.Header)
	if s.all || isLoopback(r.RemoteAddr) && !forwarded {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if forwarded && !trusted {
		return false
	}
	clientIP, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(clientIP)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.ranges, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

func isLoopback(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// isForwarded reports whether a proxy has added a header to the request.
func isForwarded(h http.Header) bool {
	for name, values := range h {
		if len(values) > 0 && isForwardingHeader(strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// isForwardingHeader reports whether proxies add the header, whose name is in lower
// case. There is one standard (RFC 7239) and a name for each product. A proxy that
// adds none at all looks like a local client.
func isForwardingHeader(name string) bool {
	return strings.HasPrefix(name, "x-forwarded") || strings.HasPrefix(name, "forwarded") ||
		strings.HasPrefix(name, "x-original-") || strings.HasPrefix(name, "x-envoy-") ||
		strings.Contains(name, "client-ip") || strings.Contains(name, "clientip") ||
		strings.Contains(name, "remote-ip") || strings.Contains(name, "remote-addr") ||
		slices.Contains(forwardingHeaders, name)
}

var forwardingHeaders = []string{
	"cdn-loop", "cf-connecting-ip", "cf-connecting-ipv6", "via", "x-appengine-user-ip", "x-azure-socketip",
	"x-nf-client-connection-ip", "x-originating-ip", "x-proxyuser-ip", "x-real-ip",
}
