//go:build linux

package soak

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

var poolsFlag = flag.Int("pools", 10, "how many ondemand pools TestManyPools has, and a tenth as many dynamic ones; with 200 its figures are those of docs/operations.md")

// TestManyPools has many pools, each with its own site. They start, become idle, and
// serve. The test logs the time, memory and CPU that they need:
//
//	go test ./e2e/soak -run TestManyPools -pools 200 -v
func TestManyPools(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		m := &manyPools{b: b, ondemand: *poolsFlag, dynamic: *poolsFlag / 10, cpuInterval: 10 * time.Second}
		if *poolsFlag < 200 {
			m.cpuInterval = time.Second
		}
		m.Server = harness.Prepare(t, b)
		m.Client.Timeout = 5 * time.Minute
		m.table = tabwriter.NewWriter(&m.text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(m.table, "\t%d + %d pools\ttook\tprocesses\tCaddy RSS\ttree PSS\twithout files\tCPU\t\n", m.ondemand, m.dynamic)

		start := time.Now()
		if err := m.Run(m.caddyfile("1h")); err != nil {
			t.Fatal(err)
		}
		m.row("loaded", time.Since(start), 0)
		m.waitIdle("idle", 0)
		m.row("reloaded, the same", m.load("1h"), 0)
		start = time.Now()
		for i := range m.ondemand + m.dynamic {
			m.Get("/hello.php", fmt.Sprintf("Host: p%d.test", i)).Want(t, 200, "hello\n")
		}
		m.row("each asked once", time.Since(start), 0)
		m.waitIdle("workers idled out", 0)
		m.waitIdle("masters idled out", m.load("1s"))
		for i, p := range m.pools() {
			if p.Requests.Total != 1 || p.Requests.Failed != 0 || p.Exits["crashed"] != 0 {
				t.Errorf("pool %d: got %+v, want one request and no crash", i, p)
			}
		}
		m.table.Flush()
		t.Logf("%s\n%s", b.Name, m.text.String())
	})
}

// manyPools is a run of the test.
type manyPools struct {
	*harness.Server
	b                 harness.Backend
	ondemand, dynamic int
	cpuInterval       time.Duration // how long the CPU time is measured
	text              strings.Builder
	table             *tabwriter.Writer
}

func (m *manyPools) caddyfile(masterIdle string) string {
	var text strings.Builder
	for i := range m.ondemand + m.dynamic {
		size := "manager dynamic\nmin_workers 1\nstart_workers 1\nmax_workers 8"
		if i < m.ondemand {
			size = "manager ondemand\nmax_workers 8\nidle_timeout 1s\nmaster_idle_timeout " + masterIdle
		}
		fmt.Fprintf(&text, "http://p%d.test:{$PORT} {\nroot {$SITE}\nphp_pool {\nname p%d\n%s\n%s\n}\n}\n",
			i, i, size, strings.Join(m.b.Lines, "\n"))
	}
	return text.String()
}

// load reloads the configuration, and returns how long that takes.
func (m *manyPools) load(masterIdle string) time.Duration {
	m.T.Helper()
	start := time.Now()
	if res := m.Admin("POST", "/load", m.Config(m.caddyfile(masterIdle))); res.StatusCode != 200 {
		m.T.Fatal(res.Text)
	}
	elapsed := time.Since(start)
	m.AwaitListener()
	return elapsed
}

// pools returns the status of all pools.
func (m *manyPools) pools() (list []harness.PoolStatus) {
	m.T.Helper()
	if err := json.Unmarshal([]byte(m.Admin("GET", "/php_pool/pools", "").Text), &list); err != nil {
		m.T.Fatal(err)
	}
	return list
}

// waitIdle waits until only the dynamic pools have workers, and measures the CPU time
// of the idle pools.
func (m *manyPools) waitIdle(what string, elapsed time.Duration) {
	m.T.Helper()
	processes := -1
	harness.Eventually(m.T, func() error {
		workers := 0
		for _, p := range m.pools() {
			workers += p.Workers.Total + p.Workers.Stopping
		}
		// The last masters and watchdogs exit a moment after their workers.
		before := processes
		processes = len(m.PHPProcesses())
		if workers != m.dynamic || processes != before {
			return fmt.Errorf("%d workers, want %d; %d processes", workers, m.dynamic, processes)
		}
		return nil
	})
	m.row(what, elapsed, m.cpuInterval)
}

// row adds a row to the table.
func (m *manyPools) row(what string, elapsed, watched time.Duration) {
	m.T.Helper()
	all := append(m.PHPProcesses(), harness.Process{PID: m.PID})
	f := m.Footprint()
	sum, own := harness.PSS(m.T, all)
	cpu := "-"
	if watched > 0 {
		before := harness.CPUTime(all)
		<-time.After(watched) // the measured interval
		cpu = fmt.Sprintf("%.2f%%", 100*(harness.CPUTime(all)-before).Seconds()/watched.Seconds())
	}
	fmt.Fprintf(m.table, "\t%s\t%v\t%d\t%.0f MB\t%.0f MB\t%.0f MB\t%s\t\n",
		what, elapsed.Round(10*time.Millisecond), f.Processes, float64(f.RSS)/harness.MiB, float64(sum)/harness.MiB, float64(own)/harness.MiB, cpu)
}
