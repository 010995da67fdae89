package cgi

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// forwarded holds the X-Forwarded-* headers that reverse_proxy would send. An empty
// value means that the header is not sent.
type forwarded struct{ proto, host, client string }

// forwardedHeaders uses the client's own X-Forwarded-* headers only if Caddy trusts
// it as a proxy.
func forwardedHeaders(r *http.Request) forwarded {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	var f forwarded
	ip := ""
	if r.RemoteAddr == "@" {
		// A unix socket has no peer address to add.
		if !trusted {
			return f
		}
	} else {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			return f
		}
		ip, _, _ = strings.Cut(host, "%")
	}
	f.client, f.proto, f.host = ip, "http", r.Host
	if r.TLS != nil {
		f.proto = "https"
	}
	if !trusted {
		return f
	}
	if prior := strings.Join(r.Header["X-Forwarded-For"], ", "); prior != "" {
		f.client = prior
		if ip != "" {
			f.client += ", " + ip
		}
	}
	if prior := lastValue(r.Header["X-Forwarded-Proto"]); prior != "" {
		f.proto = prior
	}
	if prior := lastValue(r.Header["X-Forwarded-Host"]); prior != "" {
		f.host = prior
	}
	return f
}

func lastValue(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
