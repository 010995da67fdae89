//go:build linux && bench

package bench

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

var (
	speedShort   = flag.Bool("speed.short", false, "only hello, page and upload, and only ours and the incumbent")
	speedRounds  = flag.Int("speed.rounds", 5, "how often each is measured; the median counts")
	speedTime    = flag.Duration("speed.time", 3*time.Second, "how long each measurement takes")
	speedOnly    = flag.String("speed.only", "", "a regular expression: only the works that it matches")
	speedServers = flag.String("speed.servers", "", "a regular expression: only the servers that it matches, besides the first")
	speedEnv     = flag.String("speed.env", "", "more of the environment of each Caddy, as GOMAXPROCS=1; several are separated by spaces")
)

// work is one kind of request that every server is measured with.
type work struct {
	name    string
	path    string
	clients int
	body    int    // bytes to POST
	want    string // the response begins with it
	size    int    // its length in bytes, if known
	app     bool   // the path belongs to WordPress
	short   bool   // part of the short run
	target  target

	wrk []string // more of wrk's arguments
}

var works = []work{
	{name: "hello, 1", path: "/hello.php", clients: 1, want: "hello\n", size: 6},
	{name: "hello, 4", path: "/hello.php", clients: 4, want: "hello\n", size: 6, target: target{rate: 3.2, cpu: 0.26, p99: 0.5}},
	{
		name: "hello, 16", path: "/hello.php", clients: 16, want: "hello\n", size: 6, short: true,
		target: target{rate: 3.2, cpu: 0.26, p99: 0.5},
	},
	{name: "hello, 64", path: "/hello.php", clients: 64, want: "hello\n", size: 6, target: target{rate: 3.2, cpu: 0.26, p99: 0.5}},
	{
		name: "100 KB page, 16", path: "/page.php", clients: 16, want: "<p>0", size: 100_000, short: true,
		target: target{rate: 3.5, cpu: 0.28, p99: 0.5},
	},
	{name: "60 classes, 16", path: "/classes.php", clients: 16, want: "1830\n", size: 5},
	{
		name: "2 ms page, 16", path: "/work.php", clients: 16, want: "worked\n", size: 7,
		target: target{rate: 2, cpu: 0.5, p99: 1, bare: 0.95},
	},
	{
		name: "1 MB upload, 16", path: "/upload.php", clients: 16, body: 1 << 20, want: "1048576\n", size: 8, short: true,
		target: target{rate: 1.7, cpu: 0.65, p99: 1},
	},
	{name: "20 ms sleep, 64", path: "/sleep.php", clients: 64, want: "slept\n", size: 6},
	{name: "WordPress, 16", path: "/wp/", clients: 16, want: "<!DOCTYPE html>", app: true, target: target{best: true}},
}

// TestSpeed measures the servers side by side: for each work, each of them in turn,
// round after round, so that other load on the machine affects all alike.
func TestSpeed(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Fatal("wrk is missing: run make bench, which installs it")
	}
	only := regexp.MustCompile(*speedOnly)
	chosen := slices.DeleteFunc(slices.Clone(works), func(w work) bool { return *speedShort && !w.short || !only.MatchString(w.name) })
	memory := !*speedShort && only.MatchString("memory")
	site := speedSite(t, memory || slices.ContainsFunc(chosen, func(w work) bool { return w.app }))
	var all scores
	report := func(name, table string, verdicts []verdict) {
		all.add(name, verdicts)
		fmt.Print(table, targetLine(verdicts))
	}
	// These are first, because nothing else may run meanwhile.
	for _, alone := range []struct {
		name    string
		measure func(*testing.T, string) (string, []verdict)
	}{{"start", measureStart}, {"ondemand", measureOndemand}, {"memory", measureMemory}} {
		if !*speedShort && only.MatchString(alone.name) {
			table, verdicts := alone.measure(t, site)
			report(alone.name, table, verdicts)
		}
	}
	fmt.Print(machine())
	if len(chosen) > 0 {
		speedOfWorks(t, site, chosen, report)
	}
	fmt.Print(all)
}

// speedOfWorks measures the works one after the other.
func speedOfWorks(t *testing.T, site string, chosen []work, report func(name, table string, verdicts []verdict)) {
	t.Helper()
	rivals, limits := startRivals(t, site), startLimits(t, site)
	for _, w := range chosen {
		var those []*rival
		for _, r := range slices.Concat(rivals, limits) {
			if r.limit && !regexp.MustCompile(*speedServers).MatchString(r.name) {
				continue
			}
			if r.path == "" || r.path == w.path {
				those = append(those, r)
			}
		}
		counts := inTurns(t, w, those)
		report(w.name, speedTable(w.name, counts), w.target.judge(counts))
		if !*speedShort {
			fmt.Print(usageTable(t, w, those, counts))
		}
	}
}

// inTurns measures one work: each server in each round. In the short run the limits,
// which vary little, get a third of the time and no warmup.
func inTurns(t *testing.T, w work, rivals []*rival) (counts []*tally) {
	t.Helper()
	for _, r := range rivals {
		checkResponse(t, r, w)
		if !*speedShort || !r.limit {
			measure(t, r, w, time.Second) // warmup: each worker compiles the scripts
		}
		counts = append(counts, &tally{rival: r.name, ours: r.ours, limit: r.limit, bare: r.php != nil})
	}
	for range *speedRounds {
		for i, r := range rivals {
			d := *speedTime
			if *speedShort && r.limit {
				d /= 3
			}
			counts[i].runs = append(counts[i].runs, measure(t, r, w, d))
		}
	}
	return counts
}

// speedSite returns the document root of all servers.
func speedSite(t *testing.T, wordPress bool) string {
	t.Helper()
	site := speedScripts(t)
	if wordPress {
		speedWordPress(t, filepath.Join(site, "wp"))
	}
	harness.ChownToPHP(t, site)
	return site
}

// speedScripts returns a document root with the scripts only.
func speedScripts(t *testing.T) (site string) {
	t.Helper()
	site = filepath.Join(harness.TempDir(t), "site")
	harness.CopyTree(t, site, "testdata/speed")
	for i := 1; i <= 60; i++ {
		harness.WriteFile(t, filepath.Join(site, fmt.Sprintf("classes/C%d.php", i)), fmt.Sprintf("<?php\nclass C%d {\n\tpublic int $n = %[1]d;\n\tfunction n(): int { return $this->n; }\n}\n", i))
	}
	path := filepath.Join(site, "work.php")
	harness.WriteFile(t, path, strings.Replace(harness.ReadFile(t, path), "ROUNDS", strconv.Itoa(roundsOf2ms(t)), 1))
	return site
}

// roundsOf2ms measures in PHP how many rounds of md5 take 2 ms here: the best of
// many, since other programs run too.
func roundsOf2ms(t *testing.T) int {
	t.Helper()
	script := filepath.Join(t.TempDir(), "rounds.php")
	harness.WriteFile(t, script, `<?php
for ($best = 0, $try = 0; $try < 50; $try++) {
	for ($i = 0, $x = '', $begun = hrtime(true); hrtime(true) - $begun < 2000000; $i += 100) {
		for ($j = 0; $j < 100; $j++) {
			$x = md5($x);
		}
	}
	$best = max($best, $i);
}
echo $best;
`)
	cmd := exec.Command("php-cgi", "-q", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	rounds, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return rounds
}

// checkResponse checks that a server gives the right response before it is measured.
func checkResponse(t *testing.T, r *rival, w work) {
	t.Helper()
	var status int
	var body string
	if r.php != nil {
		status, body = requestBare(t, r.php, w)
	} else {
		client := harness.NewClient(t)
		client.Timeout = time.Minute
		client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		req := harness.NewRequest(t, "GET", r.url+w.path, nil)
		if w.body > 0 {
			req = harness.NewRequest(t, "POST", r.url+w.path, strings.NewReader(strings.Repeat("x", w.body)))
		}
		res := harness.Do(t, client, req)
		status, body = res.StatusCode, res.Text
	}
	if status != 200 || !strings.HasPrefix(body, w.want) || w.size > 0 && len(body) != w.size {
		t.Fatalf("%s, %s: got status %d and %d bytes: %.200q", r.name, w.name, status, len(body), body)
	}
}
