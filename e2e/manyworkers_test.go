//go:build linux

package e2e

import (
	"testing"
	"time"
)

// TestManyWorkers serve 200 requests at once.
func TestManyWorkers(t *testing.T) {
	t.Parallel()
	ForEach(t, BothSpawnModes, func(t *testing.T, b Backend) {
		began := time.Now()
		s := Start(t, b, PoolSite(b, "manager static", "workers 200"))
		t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
		if w := s.Pool().Workers; w.Idle != 200 {
			t.Errorf("got %+v, want 200 idle workers", w)
		}
		h := s.Hold("many")
		for range 200 {
			h.Add("")
		}
		if _, pids := h.WaitRunning(200); CountDistinct(pids) != 200 {
			t.Errorf("200 requests are served by %d processes", CountDistinct(pids))
		}
		h.Release()
		for id := range 200 {
			h.Want(id, 200)
		}
		sum, own := PSS(t, s.PHPProcesses())
		t.Logf("PSS %.1f MB, without files %.1f MB", float64(sum)/MiB, float64(own)/MiB)
		s.WantExits(map[string]int{})
	})
}
