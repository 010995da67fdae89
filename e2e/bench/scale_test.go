//go:build linux && bench

package bench

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

var (
	scaleRounds  = flag.Int("scale.rounds", 3, "how often the req/s are measured at each size; the median counts")
	scaleTime    = flag.Duration("scale.time", 2*time.Second, "how long each measurement takes")
	scalePlot    = flag.String("scale.plot", "", "the file for the picture of what was measured, an SVG")
	scaleFigures = flag.String("scale.figures", "", "a file that keeps what was measured: the picture takes from it what is not measured this time")
)

// TestScale measures growing numbers of workers, client connections and pools.
func TestScale(t *testing.T) {
	allFiles(t)
	site := speedSite(t, false)
	f := readFigures(t)
	t.Run("workers", func(t *testing.T) { f["workers"] = scaleWorkers(t, site) })
	t.Run("connections", func(t *testing.T) { f["connections"] = scaleConnections(t, site) })
	t.Run("pools", func(t *testing.T) { f["pools"] = scalePools(t, site) })
	f.write(t)
	if *scalePlot != "" {
		harness.WriteFile(t, *scalePlot, plot(f.panels()))
	}
}

// allFiles raises the limit of open files, which is inherited by wrk and the servers.
func allFiles(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const wanted = 12_000
	if limit.Max < wanted {
		t.Fatalf("a process may open %d files, and 10,000 connections take %d: raise the hard limit (ulimit -Hn)", limit.Max, wanted)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// scaled is a measured server.
type scaled struct {
	*rival
	startTime time.Duration // until the first response
}

// hello is a request for hello.php by so many clients.
func hello(clients int) work {
	return work{
		name: fmt.Sprintf("hello, %d", clients), path: "/hello.php", clients: clients, want: "hello\n", size: 6,
		wrk: []string{"--timeout", "60s"}, // a client that waits long is still served
	}
}

// startScaled runs a prepared server and waits for its first response. The request may
// have headers.
func startScaled(t *testing.T, s *harness.Server, caddyfile string, headers ...string) *scaled {
	t.Helper()
	start := time.Now()
	if err := s.Run(caddyfile); err != nil {
		t.Fatal(err)
	}
	s.Get("/hello.php", headers...).Want(t, 200, "hello\n")
	return &scaled{rivalOf(t, s), time.Since(start)}
}

// stop stops the server and returns how long it takes until all its processes are gone.
func (r *scaled) stop() time.Duration {
	r.t.Helper()
	start := time.Now()
	r.server.Stop(syscall.SIGTERM)
	return time.Since(start)
}

// ofCaddy returns the PSS of Caddy alone.
func (r *scaled) ofCaddy() int64 {
	r.t.Helper()
	sum, _ := harness.PSS(r.t, []harness.Process{{PID: r.server.PID}})
	return sum
}

// roundAfterRound measures several servers in turn, after each has warmed up.
func roundAfterRound(t *testing.T, all []*scaled, w work) []*tally {
	t.Helper()
	counts := make([]*tally, len(all))
	for i, r := range all {
		measure(t, r.rival, w, time.Second)
		counts[i] = &tally{rival: r.name}
	}
	for range *scaleRounds {
		for i, r := range all {
			counts[i].runs = append(counts[i].runs, measure(t, r.rival, w, *scaleTime))
		}
	}
	return counts
}

// grid is a table in Markdown.
type grid struct{ strings.Builder }

func newGrid(columns ...string) *grid {
	g := new(grid)
	fmt.Fprintf(g, "\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	return g
}

func (g *grid) row(cells ...string) {
	fmt.Fprintf(g, "| %s |\n", strings.Join(cells, " | "))
}

func (g *grid) print() { fmt.Fprint(os.Stdout, g.String()) }

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/harness.MiB) }

// millis formats a time with two or three digits; more are noise.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
