//go:build linux && bench

package bench

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage has costs of a request that vary less from machine to machine than times. A
// number is NaN if it cannot be counted.
type usage struct {
	syscalls, switches, instructions float64
	allocations                      float64 // of Caddy
	front                            time.Duration
}

// perfEvents are counted for all processes of a server.
const perfEvents = "raw_syscalls:sys_enter,context-switches,instructions:u"

// usageOf measures a work once more, for a second, while perf counts.
func usageOf(t *testing.T, r *rival, w work) usage {
	t.Helper()
	u := usage{math.NaN(), math.NaN(), math.NaN(), math.NaN(), 0}
	if r.php != nil {
		return u
	}
	var pids []string
	for _, k := range r.kept {
		for _, p := range k.Processes() {
			pids = append(pids, strconv.Itoa(p.PID))
		}
	}
	out := filepath.Join(t.TempDir(), "perf")
	counted := *r
	counted.wrapper = []string{"perf", "stat", "-x", ";", "-o", out, "-e", perfEvents, "-p", strings.Join(pids, ","), "--"}
	if _, err := exec.LookPath("perf"); err != nil {
		counted.wrapper = nil
	}
	mallocs, front := mallocsOf(r), r.frontCPU()
	m := measure(t, &counted, w, time.Second)
	n := float64(m.requests)
	u.front = time.Duration(float64(r.frontCPU()-front) / n)
	u.allocations = (mallocsOf(r) - mallocs) / n
	counts, _ := os.ReadFile(out)
	for line := range strings.Lines(string(counts)) {
		fields := strings.Split(line, ";")
		if len(fields) < 3 {
			continue
		}
		count, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			continue // <not supported>
		}
		switch fields[2] {
		case "raw_syscalls:sys_enter":
			u.syscalls = count / n
		case "context-switches":
			u.switches = count / n
		case "instructions:u":
			u.instructions = count / n
		}
	}
	return u
}

var mallocsTotal = regexp.MustCompile(`(?m)^go_memstats_mallocs_total (\S+)$`)

// mallocsOf returns how many objects a Caddy has allocated so far.
func mallocsOf(r *rival) float64 {
	if r.server == nil {
		return math.NaN()
	}
	m := mallocsTotal.FindStringSubmatch(r.server.Admin("GET", "/metrics", "").Text)
	if m == nil {
		return math.NaN()
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// usageTable has a row for each server.
func usageTable(t *testing.T, w work, rivals []*rival, counts []*tally) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %s: for each request | p50 ms | CPU of the front in µs | system calls | context switches | instructions | allocations of Caddy |\n|---|---|---|---|---|---|---|\n", w.name)
	for i, r := range rivals {
		u := usageOf(t, r, w)
		fmt.Fprintf(&b, "| %s | %.2f | %.0f | %s | %s | %s | %s |\n", r.name, ms(counts[i].p50()), float64(u.front.Nanoseconds())/1000,
			countText(u.syscalls, 1), countText(u.switches, 2), countText(u.instructions, 0), countText(u.allocations, 0))
	}
	return b.String()
}

func countText(n float64, decimals int) string {
	if math.IsNaN(n) {
		return "–"
	}
	return strconv.FormatFloat(n, 'f', decimals, 64)
}

// machine describes what the figures depend on.
func machine() string {
	cpu, cpus := "unknown CPU", 0
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
			cpus++
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	var active []string
	files, _ := filepath.Glob("/sys/devices/system/cpu/vulnerabilities/*")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("Not affected")) {
			active = append(active, filepath.Base(file)+": "+string(text))
		}
	}
	slices.Sort(active)
	return fmt.Sprintf("\n%d × %s, Linux %s\n%s\n", cpus, cpu, bytes.TrimSpace(kernel), strings.Join(active, "\n"))
}
