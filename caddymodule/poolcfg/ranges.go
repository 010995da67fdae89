package poolcfg

import (
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Values of an option allow that stand for several ranges.
const (
	PrivateRanges = "private_ranges" // as in Caddy's own options
	AllClients    = "all"
)

// ParseRange returns the IP ranges that a value of an option allow stands for: an address,
// a range in CIDR notation, [PrivateRanges] or [AllClients].
func ParseRange(text string) ([]netip.Prefix, error) {
	list := []string{text}
	switch text {
	case PrivateRanges:
		list = caddyhttp.PrivateRangesCIDR()
	case AllClients:
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
			return nil, fmt.Errorf("allow %s: write an IP address, a range such as 10.0.0.0/8, private_ranges or all", text)
		}
	}
	return ranges, nil
}
