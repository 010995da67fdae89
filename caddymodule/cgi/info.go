package cgi

import (
	"net/http"
	"net/netip"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// Info is what logs and statistics show of the request. It copies nothing: the
// strings are the request's own.
func (e *EnvWriter) Info(s *Script, length int64) pool.Info {
	uri := OriginalURL(e.Request)
	return pool.Info{
		Method: e.Request.Method, URI: uri.EscapedPath(), Query: uri.RawQuery, User: e.loginName(),
		ContentLength: length, Script: s.Filename,
	}
}

// loginName is REMOTE_USER, or else, as php-fpm's status page has it, the name
// that the request logs in with at PHP.
func (e *EnvWriter) loginName() string {
	if e.user != "" || len(e.Request.Header["Authorization"]) == 0 {
		return e.user
	}
	name, _, _ := e.Request.BasicAuth()
	return name
}

// OriginalURL is what the client asked for, before rewrites.
func OriginalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL
	}
	return r.URL
}

// ClientKey is whom a request counts for under max_per_client: Caddy's
// {client_ip}, which honours trusted_proxies, so that behind a proxy visitors
// are told apart and nobody can claim to be another one. Of an IPv6 address that
// is its /64: a single host has all of those addresses. Nobody, where there is
// no address (a unix socket): such requests are not bounded.
func ClientKey(r *http.Request) netip.Addr {
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
