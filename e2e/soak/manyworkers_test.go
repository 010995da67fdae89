//go:build linux

package soak

import (
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestManyWorkers has 200 workers serve 200 requests at once.
func TestManyWorkers(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		start := time.Now()
		// On a slow machine, 200 processes take longer to start and to respond to a
		// health check.
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 200", "health_interval off", "start_timeout 2m"))
		t.Logf("ready after %v", time.Since(start).Round(time.Millisecond))
		if w := s.Pool().Workers; w.Idle != 200 {
			t.Errorf("got %+v, want 200 idle workers", w)
		}
		h := s.Hold("many")
		for range 200 {
			h.Add("")
		}
		if _, pids := h.WaitRunning(200); harness.CountDistinct(pids) != 200 {
			t.Errorf("200 requests run in %d processes", harness.CountDistinct(pids))
		}
		h.Release()
		for id := range 200 {
			h.Want(id, 200)
		}
		sum, own := harness.PSS(t, s.PHPProcesses())
		t.Logf("PSS %.1f MB, without files %.1f MB", float64(sum)/harness.MiB, float64(own)/harness.MiB)
		s.WantExits(map[string]int{})
	})
}
