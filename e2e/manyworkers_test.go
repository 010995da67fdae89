//go:build linux

package e2e

import (
	"testing"
	"time"
)

// TestTwoHundredWorkers serve 200 requests at once.
func TestTwoHundredWorkers(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		began := time.Now()
		s := start(t, b, poolSite(b, "manager static", "workers 200"))
		t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
		if w := s.pool().Workers; w.Idle != 200 {
			t.Errorf("got %+v, want 200 idle workers", w)
		}
		h := s.hold("many")
		for range 200 {
			h.add("")
		}
		if _, pids := h.ran(200); distinct(pids) != 200 {
			t.Errorf("200 requests are served by %d processes", distinct(pids))
		}
		h.release()
		for id := range 200 {
			h.want(id, 200)
		}
		sum, own := pss(t, s.php())
		t.Logf("PSS %.1f MB, without files %.1f MB", float64(sum)/mib, float64(own)/mib)
		s.wantExits(map[string]int{})
	})
}
