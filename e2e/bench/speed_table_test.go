//go:build linux && bench

package bench

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// tally has the measurements of one server.
type tally struct {
	rival string
	runs  []reading

	ours, limit, bare bool // as in rival; bare is php-cgi alone
}

// median returns the median of one figure of all runs.
func median[N cmp.Ordered](runs []reading, of func(reading) N) N {
	var all []N
	for _, r := range runs {
		all = append(all, of(r))
	}
	return harness.Median(all)
}

func (c *tally) rate() float64 { return median(c.runs, func(r reading) float64 { return r.rate }) }
func (c *tally) cpu() float64  { return median(c.runs, func(r reading) float64 { return r.cpu }) }
func (c *tally) p99() time.Duration {
	return median(c.runs, func(r reading) time.Duration { return r.p99 })
}

func (c *tally) p50() time.Duration {
	return median(c.runs, func(r reading) time.Duration { return r.p50 })
}

func (c *tally) lost() (n int) {
	for _, r := range c.runs {
		n += r.lost
	}
	return n
}

// ratios returns the medians of the ratios of this server to another in each round.
// They vary less than ratios of medians, because both were measured at about the same
// time.
func (c *tally) ratios(to *tally) (rate, cpu float64) {
	var by []reading
	for i := range c.runs {
		by = append(by, reading{rate: c.runs[i].rate / to.runs[i].rate, cpu: c.runs[i].cpu / to.runs[i].cpu})
	}
	return median(by, func(r reading) float64 { return r.rate }), median(by, func(r reading) float64 { return r.cpu })
}

// speedTable compares all servers with the first.
func speedTable(title string, all []*tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s | req/s | ratio | CPU s/10k | ratio | p99 ms | lost |\n|---|---|---|---|---|---|---|\n", title)
	for _, c := range all {
		rate, cpu := c.ratios(all[0])
		fmt.Fprintf(&b, "| %s | %.0f | %.2f | %.2f | %.2f | %.1f | %d |\n", c.rival, c.rate(), rate, c.cpu(), cpu,
			ms(c.p99()), c.lost())
	}
	return b.String()
}
