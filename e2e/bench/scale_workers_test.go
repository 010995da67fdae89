//go:build linux && bench

package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// scaleWorkers measures growing numbers of workers: with 64 clients and an empty script,
// and with 400 clients and a script that sleeps 20 ms, so that each worker can serve 50
// requests a second.
func scaleWorkers(t *testing.T, site string) []curve {
	hellos, sleeps := curves{}, curves{}
	table := newGrid("workers", "", "started in", "stopped in", "fresh", "after the load", "hello req/s", "CPU s/10k", "p99", "sleep req/s", "of the ideal", "CPU s/10k")
	for _, n := range []int{1, 2, 4, 16, 64, 200} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var all []*scaled
			var fresh []int64
			for _, b := range []harness.Backend{harness.FPM, harness.SingleLean, harness.SharedLean} {
				s := harness.Prepare(t, b, harness.Options{Site: site, Workers: n, Global: "php_pool {\nmax_queue 4096\n}"})
				r := startScaled(t, s, speedCaddyfile)
				all = append(all, r)
				fresh = append(fresh, r.memory())
			}
			nap := work{
				name: "sleep", path: "/sleep.php", clients: 400, want: "slept\n", size: 6,
				wrk: []string{"--timeout", "60s"},
			}
			ideal := float64(n) / 0.020
			sleeps.add(napIdeal, n, ideal)
			counts := roundAfterRound(t, all, hello(64))
			for i, r := range all {
				slept := measure(t, r.rival, nap, max(3*time.Second, *scaleTime))
				used := r.memory()
				c := counts[i]
				hellos.add(r.name, n, c.rate())
				sleeps.add(r.name+", "+napping, n, slept.rate)
				started, ended := millis(r.startTime), millis(r.stop())
				if r.server.Backend.FPM {
					started, ended = "-", "-" // they would be Caddy's alone
				}
				table.row(fmt.Sprint(n), r.name, started, ended, megabytes(fresh[i]), megabytes(used),
					fmt.Sprintf("%.0f", c.rate()), fmt.Sprintf("%.2f", c.cpu()), millis(c.p99()),
					fmt.Sprintf("%.0f", slept.rate), fmt.Sprintf("%.0f%%", 100*slept.rate/ideal), fmt.Sprintf("%.2f", slept.cpu))
			}
		})
	}
	table.print()
	return slices.Concat(hellos.all, sleeps.all)
}
