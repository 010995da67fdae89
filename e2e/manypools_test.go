//go:build linux

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var poolsFlag = flag.Int("pools", 10, "how many ondemand pools TestManyPools has, and a tenth as many dynamic ones; with 200 its figures are those of docs/operations.md")

// TestManyPools has a site for each pool. They all start, come to rest, and
// serve; what that costs is logged:
//
//	go test ./e2e -run TestManyPools -pools 200 -v
func TestManyPools(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		m := &manyPools{b: b, ondemand: *poolsFlag, dynamic: *poolsFlag / 10, watched: 10 * time.Second}
		if *poolsFlag < 200 {
			m.watched = time.Second
		}
		m.server = prepare(t, b)
		m.client.Timeout = 5 * time.Minute
		m.table = tabwriter.NewWriter(&m.text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(m.table, "\t%d + %d pools\ttook\tprocesses\tCaddy RSS\ttree PSS\twithout files\tCPU\t\n", m.ondemand, m.dynamic)

		began := time.Now()
		if err := m.run(m.caddyfile("1h")); err != nil {
			t.Fatal(err)
		}
		m.row("loaded", time.Since(began), 0)
		m.rest("at rest", 0)
		m.row("reloaded, the same", m.load("1h"), 0)
		began = time.Now()
		for i := range m.ondemand + m.dynamic {
			m.get("/hello.php", fmt.Sprintf("Host: p%d.test", i)).want(t, 200, "hello\n")
		}
		m.row("each asked once", time.Since(began), 0)
		m.rest("workers idled out", 0)
		m.rest("masters idled out", m.load("1s"))
		for i, p := range m.pools() {
			if p.Requests.Total != 1 || p.Requests.Failed != 0 || p.Exits["crashed"] != 0 {
				t.Errorf("pool %d: got %+v, want one request and no crash", i, p)
			}
		}
		m.table.Flush()
		t.Logf("%s\n%s", b.name, m.text.String())
	})
}

// manyPools is one run.
type manyPools struct {
	*server
	b                 backend
	ondemand, dynamic int
	watched           time.Duration // for how long the use of the CPU is measured
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
			i, i, size, strings.Join(m.b.lines, "\n"))
	}
	return text.String()
}

// load reloads the configuration, and returns how long that takes.
func (m *manyPools) load(masterIdle string) time.Duration {
	m.t.Helper()
	began := time.Now()
	if res := m.admin("POST", "/load", m.config(m.caddyfile(masterIdle))); res.StatusCode != 200 {
		m.t.Fatal(res.body)
	}
	took := time.Since(began)
	m.awaitListener()
	return took
}

// pools asks for the state of all of them.
func (m *manyPools) pools() (list []poolStatus) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.admin("GET", "/php_pool/pools", "").body), &list); err != nil {
		m.t.Fatal(err)
	}
	return list
}

// rest waits until only the dynamic pools have workers, and measures what that
// takes of the CPU.
func (m *manyPools) rest(what string, took time.Duration) {
	m.t.Helper()
	processes := -1
	eventually(m.t, func() error {
		workers := 0
		for _, p := range m.pools() {
			workers += p.Workers.Total + p.Workers.Stopping
		}
		// The last masters and guardians go a moment after their workers.
		before := processes
		processes = len(m.php())
		if workers != m.dynamic || processes != before {
			return fmt.Errorf("%d workers, want %d; %d processes", workers, m.dynamic, processes)
		}
		return nil
	})
	m.row(what, took, m.watched)
}

// row adds a line to the table.
func (m *manyPools) row(what string, took, watched time.Duration) {
	m.t.Helper()
	all := append(m.php(), process{pid: m.PID})
	f := m.footprint()
	sum, own := pss(m.t, all)
	cpu := "-"
	if watched > 0 {
		before := cpuTime(all)
		<-time.After(watched) // what is measured is what happens meanwhile
		cpu = fmt.Sprintf("%.2f%%", 100*(cpuTime(all)-before).Seconds()/watched.Seconds())
	}
	fmt.Fprintf(m.table, "\t%s\t%v\t%d\t%.0f MB\t%.0f MB\t%.0f MB\t%s\t\n",
		what, took.Round(10*time.Millisecond), f.processes, float64(f.rss)/mib, float64(sum)/mib, float64(own)/mib, cpu)
}
