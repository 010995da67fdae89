package clients

import (
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Values of an option that stand for several ranges.
const (
	privateRanges = "private_ranges" // as in Caddy's own options
	allClients    = "all"
)

// ParseRange returns the IP ranges that a value of an option stands for: an address, a
// range in CIDR notation, `private_ranges` or `all`.
func ParseRange(option, text string) ([]netip.Prefix, error) {
	list := []string{text}
	switch text {
	case privateRanges:
		list = caddyhttp.PrivateRangesCIDR()
	case allClients:
		list = []string{"0.0.0.0/0", "::/0"}
	}
	ranges := make([]netip.Prefix, len(list))
	for i, one := range list {
		if addr, err := netip.ParseAddr(one); err == nil {
			addr = addr.Unmap()
			ranges[i] = netip.PrefixFrom(addr, addr.BitLen())
			continue
		}
		var err error
		if ranges[i], err = netip.ParsePrefix(one); err != nil {
			return nil, fmt.Errorf("%s %s: write an IP address, a range such as 10.0.0.0/8, private_ranges or all", option, text)
		}
	}
	return ranges, nil
}
