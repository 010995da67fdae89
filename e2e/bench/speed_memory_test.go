//go:build linux && bench

package bench

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// measureMemory measures the PSS of all processes, Caddy included: with new workers, and
// with workers that have served WordPress for a while. Only one server runs at a time,
// so that servers do not share pages of programs.
func measureMemory(t *testing.T, site string) (table string, verdicts []verdict) {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n| memory, PSS | fresh MB | after WordPress MB |\n|---|---|---|\n")
	for _, workers := range []int{4, 64} {
		theirs, ours := memoryOf(t, harness.FPM, site, workers), memoryOf(t, harness.SharedLean, site, workers)
		for _, c := range []struct {
			name string
			mb   [2]float64
		}{{rivalNames[harness.FPM.Name], theirs}, {rivalNames[harness.SharedLean.Name], ours}} {
			fmt.Fprintf(&b, "| %s, %d workers | %.1f | %.1f |\n", c.name, workers, c.mb[0], c.mb[1])
		}
		for i, when := range []string{"fresh", "after WordPress"} {
			verdicts = append(verdicts, atMost(fmt.Sprintf("%d workers, %s", workers, when), ours[i], theirs[i], " MB"))
		}
	}
	return b.String(), verdicts
}

// memoryOf returns the memory of one server, in MB: new, and after WordPress.
func memoryOf(t *testing.T, b harness.Backend, site string, workers int) [2]float64 {
	t.Helper()
	s := harness.Start(t, b, speedCaddyfile, harness.Options{Site: site, Workers: workers})
	r := rivalOf(t, s)
	mb := func() float64 { return float64(r.memory()) / harness.MiB }
	harness.Eventually(t, func() error {
		n := 0
		for _, k := range r.kept {
			n += len(k.Processes())
		}
		if n < workers+2 { // Caddy and a master
			return fmt.Errorf("%d processes, want %d workers", n, workers)
		}
		return nil
	})
	fresh := mb()
	w := work{name: "WordPress", path: "/wp/", clients: workers, want: "<!DOCTYPE html>"}
	checkResponse(t, r, w)
	measure(t, r, w, 10*time.Second)
	used := mb()
	s.Stop(syscall.SIGTERM)
	for _, k := range r.kept {
		k.Kill()
	}
	return [2]float64{fresh, used}
}
