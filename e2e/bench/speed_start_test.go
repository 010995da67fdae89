//go:build linux && bench

package bench

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// startRounds is how often a start is measured: it varies more than a request.
const startRounds = 11

// starting is a server whose start is measured.
type starting struct {
	name       string
	b          harness.Backend
	caddyfile  string
	with       bool // php-fpm is started at the same time, not before
	again      bool // Caddy has run in the same home directory before
	startTimes []time.Duration
}

// measureStart measures the time from the execution of Caddy to the first complete
// response of a script, in turns.
func measureStart(t *testing.T, site string) (table string, verdicts []verdict) {
	t.Helper()
	all := []*starting{
		{name: "limit: Caddy, a constant response", caddyfile: "\n\thttp://127.0.0.1:{$PORT} {\n\t\trespond `hello\n`\n\t}\n"},
		{name: rivalNames[harness.FPM.Name] + ", which runs already", b: harness.FPM, caddyfile: speedCaddyfile},
		{name: rivalNames[harness.FPM.Name] + ", started at once", b: harness.FPM, caddyfile: speedCaddyfile, with: true},
		{name: rivalNames[harness.SingleLean.Name], b: harness.SingleLean, caddyfile: speedCaddyfile},
		{name: rivalNames[harness.SharedLean.Name], b: harness.SharedLean, caddyfile: speedCaddyfile},
		{name: rivalNames[harness.SharedLean.Name] + ", not its first start", b: harness.SharedLean, caddyfile: speedCaddyfile, again: true},
	}
	for range startRounds {
		for _, c := range all {
			c.startTimes = append(c.startTimes, c.once(t, site))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n| start to the first response, %d workers | median ms | least | most |\n|---|---|---|---|\n", speedWorkers)
	for _, c := range all {
		fmt.Fprintf(&b, "| %s | %s |\n", c.name, spread(c.startTimes))
		if c.name == rivalNames[harness.SharedLean.Name] {
			verdicts = append(verdicts, atMost("first response", ms(harness.Median(c.startTimes)), 60, " ms"))
		}
	}
	return b.String(), verdicts
}

// once starts a server, waits for its first response, and stops it.
func (c *starting) once(t *testing.T, site string) time.Duration {
	t.Helper()
	o := harness.Options{Site: site, Workers: speedWorkers}
	before := c.b
	before.FPM = c.b.FPM && !c.with
	s := harness.Prepare(t, before, o)
	s.Backend = c.b
	harness.WriteFile(t, filepath.Join(s.Dir, "Caddyfile"), s.Config(c.caddyfile))
	run := s.Command("run", "--config", filepath.Join(s.Dir, "Caddyfile"))
	if c.with {
		php := harness.FPMCommand(t, s.Dir, o)
		run.Env = append(run.Env, php.Env[1:]...) // it has PATH already
		run.Args = slices.Concat([]string{"/bin/sh", "-c", strings.Join(php.Args, " ") + ` & exec "$@"`, "sh"}, run.Args)
	}
	if c.again {
		if err := os.MkdirAll(filepath.Join(s.Home, "data", "caddy"), 0o700); err != nil {
			t.Fatal(err)
		}
		c.run(t, s, run)
	}
	elapsed := c.run(t, s, run)
	if s.FPM != nil {
		s.FPM.Kill()
	}
	return elapsed
}

// run runs the command until the first response.
func (c *starting) run(t *testing.T, s *harness.Server, run harness.Command) time.Duration {
	t.Helper()
	s.Supervised = harness.Supervise(t, run)
	answered := waitFirstResponse(t, s.Port)
	elapsed := answered.Sub(s.StartedAt)
	s.Stopped = true
	s.Signal(syscall.SIGTERM)
	if _, ok := s.Wait(harness.MaxWait); !ok {
		t.Errorf("%s does not stop", c.name)
	}
	s.Kill()
	return elapsed
}

// waitFirstResponse sends requests until a script's complete response arrives, and
// returns when that was.
func waitFirstResponse(t *testing.T, port int) time.Time {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := requestOnce(port)
		now := time.Now()
		if err == nil {
			return now
		}
		if now.After(deadline) {
			t.Fatal(err)
		}
		<-time.After(500 * time.Microsecond)
	}
}

// requestOnce requests hello.php over a new connection, and returns how long that
// took.
func requestOnce(port int) (time.Duration, error) {
	start := time.Now()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	err = requestHello(conn, bufio.NewReader(conn))
	return time.Since(start), err
}

// measureOndemand measures how much longer the first request to an idle ondemand
// pool takes than the next ones.
func measureOndemand(t *testing.T, site string) (table string, verdicts []verdict) {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n| ondemand, the first response above the next ones | median ms | least | most |\n|---|---|---|---|\n")
	for _, c := range []struct{ name, master string }{
		{"no worker runs", "10m"},
		{"nothing of PHP runs", "0"},
	} {
		s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "manager ondemand", "max_workers 4", "idle_timeout 300ms",
			"master_idle_timeout "+c.master), harness.Options{Site: site})
		var above []time.Duration
		for range startRounds {
			s.WaitPool("without workers", func(p harness.PoolStatus) bool { return p.Workers.Total == 0 })
			if c.master == "0" {
				harness.Eventually(t, func() error {
					if left := s.PHPProcesses(); len(left) > 0 {
						return fmt.Errorf("%d processes of an idle pool: %v", len(left), left)
					}
					return nil
				})
			}
			above = append(above, aboveWarm(t, s))
		}
		fmt.Fprintf(&b, "| %s | %s |\n", c.name, spread(above))
		verdicts = append(verdicts, atMost(c.name+", above the script's own time", ms(harness.Median(above)), 60, " ms"))
	}
	return b.String(), verdicts
}

// aboveWarm returns how much longer the first request takes than the median of the
// next ones.
func aboveWarm(t *testing.T, s *harness.Server) time.Duration {
	t.Helper()
	var elapsed []time.Duration
	for range 6 {
		d, err := requestOnce(s.Port)
		if err != nil {
			t.Fatal(err)
		}
		elapsed = append(elapsed, d)
	}
	return elapsed[0] - harness.Median(elapsed[1:])
}

// spread returns the median, the minimum and the maximum, as cells of a table.
func spread(all []time.Duration) string {
	return fmt.Sprintf("%.1f | %.1f | %.1f", ms(harness.Median(all)), ms(slices.Min(all)), ms(slices.Max(all)))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
