package caddymodule

import (
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientKey is whom a request counts for under max_per_client: Caddy's
// {client_ip}, which honours trusted_proxies, so that behind a proxy visitors
// are told apart and nobody can claim to be another one. Of an IPv6 address that
// is its /64: a single host has all of those addresses. Nobody, where there is
// no address (a unix socket): such requests are not bounded.
func clientKey(r *http.Request) netip.Addr {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	network, _ := addr.Prefix(64) // never fails for an IPv6 address
	return network.Addr()
}
