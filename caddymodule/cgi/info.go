package cgi

import (
	"net/http"
	"net/netip"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// Info returns what logs and statistics show of the request; call it after
// [EnvWriter.Write]. It copies no strings.
func (e *EnvWriter) Info(s *Script, length int64) pool.Info {
	uri := OriginalURL(e.Request)
	return pool.Info{
		Method: e.Request.Method, URI: uri.EscapedPath(), Query: uri.RawQuery, User: e.loginName(),
		ContentLength: length, Script: s.Filename,
	}
}

// loginName returns REMOTE_USER, or the user name of the request's Basic
// authentication, as php-fpm's status page does.
func (e *EnvWriter) loginName() string {
	if e.user != "" || len(e.Request.Header["Authorization"]) == 0 {
		return e.user
	}
	name, _, _ := e.Request.BasicAuth()
	return name
}

// OriginalURL returns the URL that the client requested, before rewrites.
func OriginalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.URL
	}
	return r.URL
}

// ClientKey returns the client that a request counts for under max_per_client:
// Caddy's {client_ip}, which takes trusted_proxies into account, by [AddrKey].
func ClientKey(r *http.Request) netip.Addr {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return AddrKey(text)
}

// AddrKey returns the client with that address under max_per_client. For an IPv6 address
// it is the /64, because one host can use all of its addresses. It is the zero Addr
// if the client has no address (Unix socket): such requests are not limited.
func AddrKey(text string) netip.Addr {
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

// SafeMethod reports whether the method is safe (RFC 9110 section 9.2.1), so that
// the request may be sent twice.
func SafeMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
