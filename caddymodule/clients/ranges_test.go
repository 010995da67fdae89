package clients

import (
	"net/netip"
	"slices"
	"testing"
)

func TestParseRange(t *testing.T) {
	contains := func(text, addr string) bool {
		t.Helper()
		ranges, err := ParseRange("allow", text)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(addr)) })
	}
	for _, c := range []struct {
		text, addr string
		want       bool
	}{
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "11.1.2.3", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"private_ranges", "172.16.5.5", true},
		{"private_ranges", "fd00::1", true},
		{"private_ranges", "192.0.2.1", false},
		{"all", "192.0.2.1", true},
		{"all", "2001:db8::1", true},
	} {
		if got := contains(c.text, c.addr); got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.text, c.addr, got, c.want)
		}
	}
	for _, text := range []string{"", "localhost", "10.0.0.0/33", "ALL", "private"} {
		const remedy = ": write an IP address, a range such as 10.0.0.0/8, private_ranges or all"
		if _, err := ParseRange("allow", text); err == nil || err.Error() != "allow "+text+remedy {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
