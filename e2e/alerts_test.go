//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// rulesFile has the rules for Prometheus.
const rulesFile = "../examples/prometheus/php_pool.rules.yml"

// TestAlerts_Promtool lets Prometheus check the rules, and run their unit tests: which
// alerts fire, and with which texts.
func TestAlerts_Promtool(t *testing.T) {
	t.Parallel()
	promtool := filepath.Join(harness.CacheDir(t), "prometheus", "usr/bin/promtool")
	if _, err := os.Stat(promtool); err != nil {
		t.Fatalf("promtool is missing: run make deps (%v)", err)
	}
	rules, tests := harness.ReadFile(t, rulesFile), harness.ReadFile(t, strings.Replace(rulesFile, ".rules.", ".rules.test.", 1))
	for _, args := range [][]string{{"check", "rules", "php_pool.rules.yml"}, {"test", "rules", "php_pool.rules.test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = filepath.Dir(rulesFile)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	alerts := regexp.MustCompile(`(?m)^ +- alert: (\w+)\n(?: {8}.*\n| {10}.*\n)+`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Errorf("found %d alerts", len(alerts))
	}
	for _, m := range alerts {
		// One that is expected to fire, with its texts.
		fires := regexp.MustCompile(`alertname: ` + m[1] + `\n +exp_alerts:\n`)
		if !fires.MatchString(tests) {
			t.Errorf("no test expects %s to fire", m[1])
		}
		for _, part := range []string{"summary:", "runbook:", "severity:"} {
			if !strings.Contains(m[0], part) {
				t.Errorf("%s has no %s", m[1], part)
			}
		}
	}
}

// TestAlerts_MetricsExist looks for every metric of the rules in the metrics of a running
// Caddy: an expression with a wrong name would never be true.
func TestAlerts_MetricsExist(t *testing.T) {
	t.Parallel()
	var expressions strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^ +expr: (>\n(?: {10,}.*\n)+|.*\n)`).FindAllStringSubmatch(harness.ReadFile(t, rulesFile), -1) {
		expressions.WriteString(m[1])
	}
	names := regexp.MustCompile(`\bphp_pool_\w+`).FindAllString(expressions.String(), -1)
	if len(names) < 12 {
		t.Fatalf("found the metrics %q", names)
	}
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1", "ini opcache.enable 1"))
	s.Get("/hello.php").Want(t, 200, "hello\n")
	// OPcache is sampled in the background.
	harness.Eventually(t, func() error {
		scrape := s.Admin("GET", "/metrics", "").Text
		for _, name := range names {
			if !strings.Contains(scrape, "\n"+name+"{") {
				return fmt.Errorf("there is no metric %s", name)
			}
		}
		return nil
	})
	for _, reason := range regexp.MustCompile(`(?:reason|state)=~?"([^"]+)"`).FindAllStringSubmatch(expressions.String(), -1) {
		for value := range strings.SplitSeq(reason[1], "|") {
			if scrape := s.Admin("GET", "/metrics", "").Text; !strings.Contains(scrape, `="`+value+`"`) {
				t.Errorf("no metric has the state or reason %s", value)
			}
		}
	}
}
