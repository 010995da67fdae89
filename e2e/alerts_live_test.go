//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// firing names, for each alert, the pool that TestAlerts_LiveScrape brings into its state.
var firing = map[string]string{
	"PHPPoolDown": "down", "PHPPoolRequestsRejected": "full", "PHPPoolSaturated": "full", "PHPPoolQueueSlow": "slow",
	"PHPPoolRequestsFailed": "crashing", "PHPPoolWorkersCrash": "crashing", "PHPPoolMasterExits": "killed",
	"PHPPoolDrained": "drained", "PHPPoolOPcacheFull": "packed", "PHPPoolOPcacheRestartPending": "pending",
}

// alertScript does what its query says.
const alertScript = `<?php
$hold = dirname($_SERVER['DOCUMENT_ROOT']) . '/hold-' . ($_GET['hold'] ?? '');
while (isset($_GET['hold']) && is_file($hold)) { usleep(5000); clearstatcache(); }
if (isset($_GET['crash'])) { exec('kill -SEGV ' . getmypid()); sleep(5); }
if (isset($_GET['fill'])) { foreach (glob($_SERVER['DOCUMENT_ROOT'] . '/fill/*.php') as $file) { require $file; } }
echo 'ok';
`

// TestAlerts_LiveScrape brings a pool into the state of each alert, and lets Prometheus
// evaluate the rules on what a scrape before and one in that state say, as if it went on.
func TestAlerts_LiveScrape(t *testing.T) {
	t.Parallel()
	options := map[string]string{
		"quiet": "workers 1", "down": "workers 1\nbinary {$DIR}/php-cgi", "full": "workers 1\nmax_queue 1\nqueue_timeout 10m", "slow": "workers 1\nqueue_timeout 10m",
		"crashing": "workers 2", "killed": "workers 1", "drained": "workers 1", "pending": "workers 2\nini opcache.enable 1",
		"packed": "workers 1\nini opcache.enable 1\nini opcache.memory_consumption 16\nini opcache.interned_strings_buffer 4\nini opcache.file_update_protection 0",
	}
	s := harness.Prepare(t, harness.SharedLean)
	program, err := os.ReadFile(harness.PHPCGI(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "php-cgi"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	config := "http://127.0.0.1:{$PORT} {\nroot {$SITE}\n"
	for name, lines := range options {
		config += fmt.Sprintf("handle /%[1]s/* {\nphp_pool {\nname %[1]s\nmanager static\n%[2]s\n}\n}\n", name, lines)
		harness.WriteFile(t, filepath.Join(s.Site, name, "index.php"), alertScript)
	}
	for i := range 900 {
		var text strings.Builder
		for k := range 100 {
			fmt.Fprintf(&text, "'%d %d %s',", i, k, strings.Repeat("x", 200))
		}
		harness.WriteFile(t, filepath.Join(s.Site, "fill", fmt.Sprintf("%d.php", i)), "<?php $x = ["+text.String()+"];")
	}
	for _, name := range []string{"full", "slow", "pending"} {
		harness.WriteFile(t, filepath.Join(s.Dir, "hold-"+name), "")
	}
	if err := s.Run(config + "}\n"); err != nil {
		t.Fatal(err)
	}
	for name := range options {
		s.Get("/"+name+"/").Want(t, 200, "ok")
	}
	before := scrapePools(t, s)
	breakPools(t, s)
	var after map[string]float64
	harness.Eventually(t, func() error { // OPcache is sampled in the background
		after = scrapePools(t, s)
		for series, want := range map[string]float64{
			`php_pool_up{pool="down"}`: 0, `php_pool_queue_length{pool="full"}`: 1, `php_pool_draining{pool="drained"}`: 1, `php_pool_master_exits_total{pool="killed"}`: 1,
			`php_pool_opcache_full{pool="packed"}`: 1, `php_pool_opcache_restart_pending{pool="pending"}`: 1,
		} {
			if got, ok := after[series]; !ok || got != want {
				return fmt.Errorf("%s: got %v, want %v", series, got, want)
			}
		}
		return nil
	})
	os.Remove(filepath.Join(s.Dir, "hold-full"))
	os.Remove(filepath.Join(s.Dir, "hold-pending"))

	var input, expect strings.Builder
	for series, value := range after {
		step := 0.0
		name, labels, _ := strings.Cut(series, "{")
		if regexp.MustCompile(`_(total|bucket|sum|count)$`).MatchString(name) {
			step = value - before[series]
			value = before[series]
		}
		fmt.Fprintf(&input, "      - {series: '%s{instance=\"a\",%s', values: '%s+%sx120'}\n", name, labels, number(value), number(step))
	}
	want := func(expr string, value int) {
		fmt.Fprintf(&expect, "      - {expr: '%s', eval_time: 100m, exp_samples: [{labels: '{}', value: %d}]}\n", expr, value)
	}
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(harness.ReadFile(t, rulesFile), -1) {
		if pool, ok := firing[m[1]]; ok {
			want(fmt.Sprintf(`count(ALERTS{alertname="%s",alertstate="firing",pool="%s"})`, m[1], pool), 1)
		} else if m[1] != "PHPPoolAbsent" {
			t.Errorf("no pool is in the state of %s", m[1])
		}
	}
	want(`count(ALERTS{pool="quiet"}) or vector(0)`, 0)
	want(`count(ALERTS{alertname="PHPPoolAbsent"}) or vector(0)`, 0)
	promtoolTests(t, input.String(), expect.String())

	// Without a pool.
	s.MustReload("http://127.0.0.1:{$PORT} {\nrespond ok\n}\n")
	if left := scrapePools(t, s); len(left) > 0 {
		t.Errorf("%d series of pools are left", len(left))
	}
	expect.Reset()
	want(`count(ALERTS{alertname="PHPPoolAbsent",alertstate="firing"})`, 1)
	promtoolTests(t, "      - {series: 'up{instance=\"a\"}', values: '1+0x120'}\n", expect.String())
}

// breakPools brings the pools into the states of the alerts.
func breakPools(t *testing.T, s *harness.Server) {
	t.Helper()
	get := func(path string) {
		req := s.Request("GET", path, nil)
		go func() {
			if res, err := s.Client.Do(req); err == nil {
				res.Body.Close()
			}
		}()
	}
	waitQueue := func(name string, n int) {
		t.Helper()
		harness.Eventually(t, func() error {
			if p := s.PoolNamed(name); p.Queue.Length != n || p.Workers.Busy != 1 {
				return fmt.Errorf("%s: %+v", name, p)
			}
			return nil
		})
	}
	for _, name := range []string{"full", "full", "slow", "slow", "slow", "slow"} {
		get("/" + name + "/?hold=" + name)
	}
	waitQueue("full", 1)
	waitQueue("slow", 3)
	<-time.After(1200 * time.Millisecond) // three of four requests have waited more than half a second
	os.Remove(filepath.Join(s.Dir, "hold-slow"))
	waitIdle := s.PoolNamed("slow")
	harness.Eventually(t, func() error {
		if waitIdle = s.PoolNamed("slow"); waitIdle.Queue.Length+waitIdle.Workers.Busy > 0 {
			return fmt.Errorf("slow: %+v", waitIdle)
		}
		return nil
	})
	if res := s.Get("/full/"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("full: got %s", res.Status)
	}
	for range 3 {
		if res := s.Get("/crashing/?crash=1"); res.StatusCode != http.StatusBadGateway {
			t.Errorf("crashing: got %s", res.Status)
		}
	}
	s.Admin("POST", "/php_pool/pools/drained/drain", "")
	s.Get("/packed/?fill=1").Want(t, 200, "ok")
	get("/pending/?hold=pending")
	harness.Eventually(t, func() error {
		if p := s.PoolNamed("pending"); p.Workers.Busy != 1 {
			return fmt.Errorf("pending: %+v", p)
		}
		return nil
	})
	s.Admin("DELETE", "/php_pool/pools/pending/opcache", "")
	killMaster(t, s, "killed")
	if err := os.Remove(filepath.Join(s.Dir, "php-cgi")); err != nil {
		t.Fatal(err)
	}
	killMaster(t, s, "down")
}

// killMaster kills the master of a pool and its worker.
func killMaster(t *testing.T, s *harness.Server, name string) {
	t.Helper()
	pid := s.PoolNamed(name).List[0].PID
	all := s.PHPProcesses()
	i := slices.IndexFunc(all, func(p harness.Process) bool { return p.PID == pid })
	if i < 0 {
		t.Fatalf("%s: no process %d", name, pid)
	}
	harness.Kill(t, all[i].PPID, syscall.SIGKILL)
	syscall.Kill(pid, syscall.SIGKILL) // it may have ended with its master
}

// scrapePools returns the series of all pools.
func scrapePools(t *testing.T, s *harness.Server) map[string]float64 {
	t.Helper()
	series := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^(php_pool_\w+\{.*\}) (\S+)$`).FindAllStringSubmatch(s.Admin("GET", "/metrics", "").Text, -1) {
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		series[m[1]] = value
	}
	return series
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// promtoolTests lets Prometheus evaluate the rules on series, and compares what it gets
// with expressions.
func promtoolTests(t *testing.T, series, expressions string) {
	t.Helper()
	dir := harness.TempDir(t)
	harness.WriteFile(t, filepath.Join(dir, "rules.yml"), harness.ReadFile(t, rulesFile))
	harness.WriteFile(t, filepath.Join(dir, "test.yml"), "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n"+
		series+"    promql_expr_test:\n"+expressions)
	cmd := exec.CommandContext(t.Context(), filepath.Join(harness.CacheDir(t), "prometheus", "usr/bin/promtool"), "test", "rules", "test.yml")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		t.Fatalf("promtool is missing: run make deps (%v)", err)
	} else if err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
