package cgi

import (
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestClientKey_AddressOrIPv6Network(t *testing.T) {
	for _, c := range []struct{ ip, want string }{
		{"192.0.2.7", "192.0.2.7"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:2::1", "2001:db8:1:2::"},
		{"2001:db8:1:3::1", "2001:db8:1:3::"},
		{"fe80::1%eth0", "fe80::"},
		{"@", ""},
		{"", ""},
	} {
		r, _ := request("/", ".")
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, c.ip)
		var want netip.Addr
		if c.want != "" {
			want = netip.MustParseAddr(c.want)
		}
		if got := ClientKey(r); got != want {
			t.Errorf("%s: got %v, want %v", c.ip, got, want)
		}
	}
}
