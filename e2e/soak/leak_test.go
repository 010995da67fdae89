//go:build linux

package soak

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestReload_LeaksNothing compares Caddy's resources after some reloads with those after many
// more: without a change, with another size, with another PHP setting, with another
// pool, and with an error.
func TestReload_LeaksNothing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		site := func(size, mark int, lines ...string) string {
			return harness.PoolSite(b, append(lines, "manager static", fmt.Sprint("workers ", size), fmt.Sprint("ini user_agent ", mark))...)
		}
		s := harness.Start(t, b, site(2, 0))
		size, mark := 2, 0
		hello := func() {
			t.Helper()
			if got := s.GetFrom(s.Port, "/hello.php"); got != "hello\n" {
				t.Errorf("got %q", got)
			}
		}
		load := func(i int) {
			t.Helper()
			switch {
			case i%25 == 24:
				mark++
			case i%25 == 12:
				if err := s.Reload(site(3, mark+1, "ini opcache.memory_consumption 100000000")); err == nil {
					t.Error("an invalid PHP setting was accepted")
				}
				return
			case i%25 == 6:
				s.MustReload(site(size, mark) + strings.Replace(strings.Replace(site(1, mark), "name main", "name other", 1), "{$PORT}", "{$PORT2}", 1))
				hello()
			case i%2 == 1:
				size = 5 - size
			}
			s.MustReload(site(size, mark))
			hello()
		}
		// This starts a new generation: one that was started for a larger pool has
		// more slots.
		rest := func() harness.Footprint {
			t.Helper()
			size, mark = 2, mark+1
			s.MustReload(site(size, mark))
			s.WaitWorkers(b, 2)
			return s.SettledFootprint()
		}
		for i := range 25 {
			load(i)
		}
		before := rest()
		n := 25 * harness.Rounds(2)
		for i := range n {
			load(i)
		}
		after := rest()
		// A few connections may still be idle, here or in Caddy.
		const slack = 4
		harness.Eventually(t, func() error {
			after = s.Footprint()
			if after.Goroutines > before.Goroutines+slack || after.Files > before.Files+slack || after.Processes > before.Processes {
				return fmt.Errorf("after %d reloads: %v; before: %v", n, after, before)
			}
			return nil
		})
		t.Logf("before %d reloads %v, after them %v", n, before, after)
		// The heap after a garbage collection must not grow: with 500 reloads, 2 MB
		// are 4 KB each, less than any configuration needs. RSS also includes the
		// garbage between two collections.
		if grown := after.Heap - before.Heap; grown > 2*harness.MiB {
			t.Errorf("the heap has grown by %.1f MB in %d reloads", float64(grown)/harness.MiB, n)
		}
		if grown := after.RSS - before.RSS; grown > 16*harness.MiB {
			t.Errorf("the memory has grown by %.1f MB in %d reloads", float64(grown)/harness.MiB, n)
		}
	})
}
