package cgi

import (
	"crypto/tls"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestTrustForwarded_Headers(t *testing.T) {
	const known, unknown = true, false
	for name, c := range map[string]struct {
		header         [][2]string // without X-Forwarded-
		untrusted, tls bool
		want           client
		https          bool
	}{
		"silent":           {want: client{"", "203.0.113.5", "", unknown}},
		"silent, TLS":      {tls: true, want: client{"", "203.0.113.5", "", unknown}, https: true},
		"https":            {header: [][2]string{{"Proto", "https"}}, want: client{"https", "203.0.113.5", "", unknown}, https: true},
		"a list":           {header: [][2]string{{"Proto", "https,http"}}, want: client{"https", "203.0.113.5", "", unknown}, https: true},
		"a list of http":   {header: [][2]string{{"Proto", "http, https"}}, want: client{"http", "203.0.113.5", "", unknown}},
		"two fields":       {header: [][2]string{{"Proto", "https"}, {"Proto", "http"}}, want: client{"https", "203.0.113.5", "", unknown}, https: true},
		"capitals":         {header: [][2]string{{"Proto", " HTTPS "}}, want: client{"HTTPS", "203.0.113.5", "", unknown}, https: true},
		"on":               {header: [][2]string{{"Proto", "on"}}, want: client{"on", "203.0.113.5", "", unknown}, https: true},
		"nonsense":         {header: [][2]string{{"Proto", "httpsx"}}, want: client{"httpsx", "203.0.113.5", "", unknown}},
		"http behind TLS":  {header: [][2]string{{"Proto", "http"}}, tls: true, want: client{"http", "203.0.113.5", "", unknown}},
		"port":             {header: [][2]string{{"Port", "8443"}, {"Host", "a:9"}}, want: client{"", "203.0.113.5", "8443", known}},
		"a port too high":  {header: [][2]string{{"Port", "99999"}}, want: client{"", "203.0.113.5", "", unknown}},
		"a port with text": {header: [][2]string{{"Port", "443\"x"}, {"Host", "a:9"}}, want: client{"", "203.0.113.5", "9", known}},
		"host":             {header: [][2]string{{"Host", "shop.example"}}, want: client{"", "203.0.113.5", "", known}},
		"host with port":   {header: [][2]string{{"Host", "shop.example:8443, b"}}, want: client{"", "203.0.113.5", "8443", known}},
		"IPv6 with port":   {header: [][2]string{{"Host", "[2001:db8::1]:8443"}}, want: client{"", "203.0.113.5", "8443", known}},
		"untrusted":        {header: [][2]string{{"Proto", "https"}, {"Port", "8443"}, {"Host", "x:1"}}, untrusted: true},
		"untrusted, TLS":   {header: [][2]string{{"Proto", "http"}}, untrusted: true, tls: true, https: true},
	} {
		r, _ := request("/", ".")
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		for _, h := range c.header {
			r.Header.Add("X-Forwarded-"+h[0], h[1])
		}
		caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, !c.untrusted)
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, "203.0.113.5")
		e := EnvWriter{Request: r, client: forwardedClient(r)}
		if e.client != c.want || e.isHTTPS() != c.https {
			t.Errorf("%s: got %+v, https %v, want %+v, %v", name, e.client, e.isHTTPS(), c.want, c.https)
		}
	}
}
