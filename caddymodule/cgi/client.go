package cgi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// client holds what a trusted proxy says of the client's connection. It is zero if the peer is
// not trusted.
type client struct {
	proto string // the first of X-Forwarded-Proto; "" if the proxy does not say
	ip    string
	port  string // that the client has connected to; "" for the default of the scheme
	// portKnown is true if the proxy names the port, or a host without one.
	portKnown bool
}

// forwardedClient reads the X-Forwarded-* headers if Caddy trusts the peer as a proxy. Of
// a list the first value counts, which is that of the proxy next to the client.
func forwardedClient(r *http.Request) client {
	ctx := r.Context()
	if trusted, _ := caddyhttp.GetVar(ctx, caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return client{}
	}
	c := client{proto: firstOfList(r.Header["X-Forwarded-Proto"])}
	c.ip, _ = caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	if port := firstOfList(r.Header["X-Forwarded-Port"]); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			c.port, c.portKnown = port, true
			return c
		}
	}
	if host := firstOfList(r.Header["X-Forwarded-Host"]); host != "" {
		_, c.port = splitHostPort(host)
		if _, err := strconv.ParseUint(c.port, 10, 16); err != nil {
			c.port = ""
		}
		c.portKnown = true
	}
	return c
}

// isHTTPS reports whether the client uses https, as far as PHP is to know.
func (e *EnvWriter) isHTTPS() bool {
	if e.client.proto != "" {
		return isHTTPS(e.client.proto)
	}
	return e.Request.TLS != nil
}

// isHTTPS reports whether a value of X-Forwarded-Proto means https. Some proxies write on.
func isHTTPS(proto string) bool {
	proto, _, _ = strings.Cut(proto, ",")
	proto = strings.TrimSpace(proto)
	return strings.EqualFold(proto, "https") || strings.EqualFold(proto, "on")
}

// firstOfList returns the first element of a header with a list of values.
func firstOfList(values []string) string {
	if len(values) == 0 {
		return ""
	}
	first, _, _ := strings.Cut(values[0], ",")
	return strings.TrimSpace(first)
}
