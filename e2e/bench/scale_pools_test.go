//go:build linux && bench

package bench

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// poolKind describes the pools of one series.
type poolKind struct {
	name  string
	lines string // of each
	awake bool   // each has a worker
	fpm   bool
	curve string // its name in the picture
}

var poolKinds = []poolKind{
	{name: "php-fpm, static 1", awake: true, fpm: true, curve: rivalNames[harness.FPM.Name]},
	{name: "php_pool, static 1", lines: "workers 1", awake: true, curve: rivalNames[harness.SharedLean.Name]},
	{name: "php_pool, ondemand", lines: "manager ondemand\nmax_workers 8"},
}

// scalePools measures growing numbers of pools, each with its own site: all idle,
// and all with one worker, to which 64 clients send requests in turn.
func scalePools(t *testing.T, site string) []curve {
	rates := curves{}
	table := newGrid("pools", "", "started in", "reloaded in", "stopped in", "memory", "Caddy's", "processes", "idle CPU", "req/s", "CPU s/10k", "p99", "scrape")
	for _, n := range []int{1, 2, 10, 50, 100, 200} {
		for _, kind := range poolKinds {
			t.Run(fmt.Sprintf("%s/%d", kind.name, n), func(t *testing.T) {
				m := startPools(t, kind, n, site)
				reloaded := m.reload()
				cells := []string{fmt.Sprint(n), kind.name, millis(m.startTime), millis(reloaded), "", "", "", "", m.idle(), "-", "-", "-", m.scrape()}
				if kind.awake {
					c := roundAfterRound(t, []*scaled{m.scaled}, m.inTurn())[0]
					rates.add(kind.curve, n, c.rate())
					cells[9], cells[10], cells[11] = fmt.Sprintf("%.0f", c.rate()), fmt.Sprintf("%.2f", c.cpu()), millis(c.p99())
				}
				processes := 0
				for _, k := range m.kept {
					processes += len(k.Processes())
				}
				cells[5], cells[6], cells[7] = megabytes(m.memory()), megabytes(m.ofCaddy()), fmt.Sprint(processes)
				cells[4] = millis(m.stop())
				table.row(cells...)
			})
		}
	}
	table.print()
	return rates.all
}

// poolCrowd is a server with many pools.
type poolCrowd struct {
	*scaled
	n         int
	caddyfile string
}

func startPools(t *testing.T, kind poolKind, n int, site string) *poolCrowd {
	t.Helper()
	b, o := harness.SharedLean, harness.Options{Site: site}
	if kind.fpm {
		b, o.FPMPools, o.Workers = harness.FPM, n, 1
	}
	var text strings.Builder
	for i := range n {
		php := fmt.Sprintf("php_pool {\nname p%d\n%s\n}", i, kind.lines)
		if kind.fpm {
			php = fmt.Sprintf("php_fastcgi unix/{$DIR}/p%d.sock", i)
		}
		fmt.Fprintf(&text, "http://p%d.test:{$PORT} {\nroot {$SITE}\n%s\nfile_server\n}\n", i, php)
	}
	return &poolCrowd{scaled: startScaled(t, harness.Prepare(t, b, o), text.String(), "Host: p0.test"), n: n, caddyfile: text.String()}
}

// reload loads the same configuration again, and returns how long that takes.
func (m *poolCrowd) reload() time.Duration {
	m.t.Helper()
	start := time.Now()
	if err := m.server.Reload(m.caddyfile); err != nil {
		m.t.Fatal(err)
	}
	return time.Since(start)
}

// idle returns the CPU usage of the server without requests.
func (m *poolCrowd) idle() string {
	const watched = 3 * time.Second
	before := m.cpu()
	<-time.After(watched) // the measured interval
	return fmt.Sprintf("%.1f%%", 100*(m.cpu()-before).Seconds()/watched.Seconds())
}

// scrape returns how long a scrape of the metrics takes.
func (m *poolCrowd) scrape() string {
	m.t.Helper()
	var all []time.Duration
	for range 7 {
		start := time.Now()
		m.server.Admin("GET", "/metrics", "").WantContains(m.t, 200, "caddy_")
		all = append(all, time.Since(start))
	}
	return millis(harness.Median(all))
}

// inTurn is a work that requests a page of one site after the other.
func (m *poolCrowd) inTurn() work {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), "turn.lua")
	harness.WriteFile(m.t, path, fmt.Sprintf(`
local all, i = {}, 0
function request()
	i = i %% %[1]d + 1
	all[i] = all[i] or wrk.format("GET", "/hello.php", {Host = "p" .. i - 1 .. ".test"})
	return all[i]
end
`, m.n))
	w := hello(64)
	w.wrk = append(w.wrk, "-s", path)
	return w
}
