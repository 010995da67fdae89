//go:build linux && bench

package bench

import (
	"fmt"
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

// reading is one measurement.
type reading struct {
	rate float64       // responses a second
	cpu  float64       // CPU seconds of the whole server side for 10,000 responses
	p50  time.Duration // the median of the response times
	p99  time.Duration // and their 99th percentile
	lost int           // requests without a response, or with another status than 200

	requests int // responses
}

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkTotal  = regexp.MustCompile(`(\d+) requests in`)
	wrkTimes  = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$`)
	wrkErrors = regexp.MustCompile(`(?m)^\s*(?:Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)|Non-2xx or 3xx responses: (\d+))$`)
)

// measure runs wrk against a server.
func measure(t *testing.T, r *rival, w work, d time.Duration) reading {
	t.Helper()
	if r.php != nil {
		return measureBare(t, r, w, d)
	}
	args := []string{fmt.Sprintf("-t%d", min(2, w.clients)), "-c" + strconv.Itoa(w.clients), fmt.Sprintf("-d%ds", max(1, int(d.Seconds()))), "--latency"}
	if w.body > 0 {
		args = append(args, "-s", postScript(t, w.body))
	}
	args = append(args, w.wrk...)
	args = slices.Concat(r.wrapper, []string{"wrk"}, args, []string{r.url + w.path})
	before := r.cpu()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	used := r.cpu() - before
	if err != nil {
		t.Fatalf("wrk: %v\n%s", err, out)
	}
	lost := 0
	for _, m := range wrkErrors.FindAllStringSubmatch(string(out), -1) {
		for _, n := range m[1:] {
			n, _ := strconv.Atoi(n) // 0 if empty
			lost += n
		}
	}
	if lost > 0 && r.ours {
		t.Errorf("%s, %s: %d requests lost:\n%s", r.name, w.name, lost, out)
	}
	number := func(re *regexp.Regexp) float64 {
		m := re.FindSubmatch(out)
		if m == nil {
			t.Fatalf("wrk says:\n%s", out)
		}
		n, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	got := reading{rate: number(wrkRate), cpu: used.Seconds() / number(wrkTotal) * 10_000, lost: lost, requests: int(number(wrkTotal))}
	for _, m := range wrkTimes.FindAllStringSubmatch(string(out), -1) {
		elapsed, err := time.ParseDuration(m[2] + m[3])
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "50" {
			got.p50 = elapsed
		} else {
			got.p99 = elapsed
		}
	}
	return got
}

// postScript makes wrk post a body. Without a Content-Type PHP would parse it as a form.
func postScript(t *testing.T, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "post.lua")
	harness.WriteFile(t, path, fmt.Sprintf("wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/octet-stream\"\nwrk.body = string.rep(\"x\", %d)\n", size))
	return path
}

// memory returns the PSS of all processes of the server.
func (r *rival) memory() (sum int64) {
	r.t.Helper()
	for _, k := range r.kept {
		all, _ := harness.PSS(r.t, k.Processes())
		sum += all
	}
	return sum
}

// cpu returns the processor time of all processes of the server, and of their children
// that have exited.
func (r *rival) cpu() (sum time.Duration) {
	for _, k := range r.kept {
		for _, p := range k.Processes() {
			sum += cpuTime(p.PID, true)
		}
	}
	return sum
}

// frontCPU returns the processor time of the processes that are not PHP.
func (r *rival) frontCPU() (sum time.Duration) {
	for _, k := range r.kept {
		for _, p := range k.Processes() {
			if !strings.Contains(p.Args, "php-cgi") && !strings.Contains(p.Args, "php-fpm") {
				sum += cpuTime(p.PID, false)
			}
		}
	}
	return sum
}

// cpuTime returns the processor time of a process, and of its children that have exited.
func cpuTime(pid int, withChildren bool) (sum time.Duration) {
	const tick = time.Second / 100 // USER_HZ of all Linux systems
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has exited
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)[11:15] // utime, stime, cutime, cstime
	if !withChildren {
		fields = fields[:2]
	}
	for _, field := range fields {
		n, _ := strconv.ParseInt(field, 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum
}
