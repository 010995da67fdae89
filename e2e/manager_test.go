//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestManagerDynamic_GrowsAndShrinks sends 16 requests that end only after all of
// them have started.
func TestManagerDynamic_GrowsAndShrinks(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager dynamic", "min_workers 2", "max_workers 16", "max_spare 16", "idle_timeout 5s"))
		rest := func(p harness.PoolStatus) bool { return p.Workers.Total == 2 && p.Workers.Idle == 2 }
		before := s.WaitPool("idle", rest)
		h := s.Hold("burst")
		for range 16 {
			h.Add("")
		}
		_, pids := h.WaitRunning(16)
		if got := harness.CountDistinct(pids); got != 16 {
			t.Errorf("16 requests are served at once by %d processes", got)
		}
		burst := s.Pool()
		if w := burst.Workers; w.Total != 16 || w.Busy != 16 {
			t.Errorf("during the burst: got %+v, want 16 busy workers", w)
		}
		s.WantWorkerProcesses(b, 16)
		h.Release()
		for id := range 16 {
			h.Want(id, 200)
		}
		s.WaitPool("all idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 16 })
		_, grown := harness.PSS(t, s.PHPProcesses())
		after := s.WaitPool("idle again", func(p harness.PoolStatus) bool { return rest(p) && p.Workers.Stopping == 0 })
		if b.Name == harness.SharedLean.Name {
			// The master forks a new child for each worker that exited.
			if after.Workers.Preforked != before.Workers.Preforked || after.Generation != before.Generation {
				t.Errorf("got %+v, want the preforked children of %+v", after, before)
			}
		}
		s.WantWorkerProcesses(b, 2)
		harness.Eventually(t, func() error { // a process that exits or forks has a larger share
			_, shrunk := harness.PSS(t, s.PHPProcesses())
			if shrunk >= grown-2*harness.MiB {
				return fmt.Errorf("%.1f MB of memory after the shrink, %.1f MB with 16 idle workers", float64(shrunk)/harness.MiB, float64(grown)/harness.MiB)
			}
			t.Logf("PSS without files: of 16 idle workers %.1f MB, after the shrink %.1f MB", float64(grown)/harness.MiB, float64(shrunk)/harness.MiB)
			return nil
		})
		s.WantExits(map[string]int{"idle_timeout": 14})
	})
}

// TestManagerDynamic_MaxSpare checks that max_spare idle workers are kept.
func TestManagerDynamic_MaxSpare(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager dynamic", "max_workers 8", "max_spare 3", "idle_timeout 1h"))
		h := s.Hold("burst")
		for range 8 {
			h.Add("")
		}
		h.WaitRunning(8)
		h.Release()
		s.WaitPool("down to max_spare", func(p harness.PoolStatus) bool { return p.Workers.Total == 3 && p.Workers.Idle == 3 })
		s.WantExits(map[string]int{"idle_timeout": 5})
	})
}

// TestManagerOndemand_StopsWhenIdle checks that an idle pool has no process.
func TestManagerOndemand_StopsWhenIdle(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager ondemand", "max_workers 8", "idle_timeout 1s", "master_idle_timeout 1s"))
		nothing := func() {
			t.Helper()
			harness.Eventually(t, func() error {
				if left := s.PHPProcesses(); len(left) > 0 {
					return fmt.Errorf("%d processes of an idle pool: %v", len(left), left)
				}
				return nil
			})
		}
		nothing()
		h := s.Hold("visit")
		for range 3 {
			h.Add("")
		}
		_, pids := h.WaitRunning(3)
		if got := harness.CountDistinct(pids); got != 3 {
			t.Errorf("3 requests are served by %d processes", got)
		}
		if w := s.Pool().Workers; w.Busy != 3 || w.Total != 3 {
			t.Errorf("got %+v, want 3 busy workers", w)
		}
		h.Release()
		nothing()
		s.Get("/hello.php").Want(t, 200, "hello\n")
		if w := s.Pool().Workers; w.Total != 1 {
			t.Errorf("got %+v after one request, want one worker", w)
		}
		nothing()
		if p := s.Pool(); p.MasterExits != 0 || p.Requests.Failed != 0 {
			t.Errorf("got %+v, want no exit of a master and no failed request", p)
		}
	})
}

// TestManagerOndemand_MasterKeepsOPcache requests a script again after the
// worker that compiled it has exited.
func TestManagerOndemand_MasterKeepsOPcache(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "manager ondemand", "max_workers 4", "idle_timeout 1s", "master_idle_timeout 1h",
		"ini opcache.enable 1", "ini opcache.file_update_protection 0"))
	type response struct{ PID, Hits, Start int }
	fetch := func() (a response) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.Get("/opcache.php").Text), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := fetch()
	s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Total == 0 && p.Workers.Stopping == 0 })
	if got := s.Masters(); len(got) != 1 {
		t.Errorf("got masters %v, want one", got)
	}
	second := fetch()
	if second.PID == first.PID || second.Start != first.Start || second.Hits <= first.Hits {
		t.Errorf("got %+v, then %+v: want another process, the same cache, and a hit", first, second)
	}
}

// TestManagerStatic_ReadyWhenLoaded checks the pool right after the first load, and
// after reloads with another size.
func TestManagerStatic_ReadyWhenLoaded(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 5"))
		whole := func(p harness.PoolStatus, n int) bool { return p.Workers.Idle == n && p.Workers.Total == n }
		if p := s.Pool(); !whole(p, 5) {
			t.Errorf("got %+v, want 5 idle workers", p.Workers)
		}
		for _, n := range []int{7, 2, 4} {
			if err := s.Reload(harness.PoolSite(b, "manager static", fmt.Sprint("workers ", n))); err != nil {
				t.Fatal(err)
			}
			s.WaitPool(fmt.Sprint(n, " idle workers"), func(p harness.PoolStatus) bool { return whole(p, n) })
		}
	})
}

// TestManagerStatic_ReplacesExitedWorker kills an idle worker.
func TestManagerStatic_ReplacesExitedWorker(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 3"))
		lost := s.Pool().List[1].PID
		harness.Kill(t, lost, syscall.SIGKILL)
		p := s.WaitPool("whole again", func(p harness.PoolStatus) bool { return p.Workers.Idle == 3 && p.Exits["crashed"] == 1 })
		if slices.ContainsFunc(p.List, func(w harness.WorkerStatus) bool { return w.PID == lost }) {
			t.Errorf("the killed worker %d is still in the list: %+v", lost, p.List)
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
	})
}
