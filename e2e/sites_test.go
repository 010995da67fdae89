//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestReload_SitesComeAndGoUnderLoad adds a second site that shares the pool of
// the first, gives it its own pool, and removes it.
func TestReload_SitesComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		site := func(port string, pools ...string) string {
			text := fmt.Sprintf("http://127.0.0.1:{$%s} {\nroot {$SITE}\n", port) + harness.AccessLog
			for i, pool := range pools {
				text += fmt.Sprintf("handle_path /%d/* {\nphp_pool {\npool %s\n}\n}\n", i, pool)
			}
			return text + fmt.Sprintf("php_pool {\npool %s\n%s\n}\n}\n", pools[0], harness.RequestLogLine)
		}
		shape := "{\nmanager static\nworkers 2\n" + strings.Join(b.Lines, "\n") + "\n}\n"
		s := harness.Start(t, b, site("PORT", "main"), harness.Options{Global: "php_pool {\npool main " + shape + "pool other " + shape + "}"})
		l := s.StartTraffic(checkScript, 3)
		before := s.Pool()
		for range harness.Rounds(2) {
			s.MustReload(site("PORT", "main") + site("PORT2", "main"))
			wantPools(s, "main")
			wantAmong(t, s.GetFrom(s.Port+1, "/pid.php"), harness.WorkerPIDs(before))

			s.MustReload(site("PORT", "main") + site("PORT2", "other", "main"))
			wantPools(s, "main", "other")
			others := s.PoolNamed("other")
			wantAmong(t, s.GetFrom(s.Port+1, "/pid.php"), harness.WorkerPIDs(others))
			wantAmong(t, s.GetFrom(s.Port+1, "/0/pid.php"), harness.WorkerPIDs(others))
			wantAmong(t, s.GetFrom(s.Port+1, "/1/pid.php"), harness.WorkerPIDs(before))

			s.MustReload(site("PORT", "main", "other"))
			wantPools(s, "main", "other")
			if got := harness.WorkerPIDs(s.PoolNamed("other")); !slices.Equal(got, harness.WorkerPIDs(others)) {
				t.Errorf("the workers of a pool that moved to another site are %v, and were %v", got, harness.WorkerPIDs(others))
			}

			s.MustReload(site("PORT", "main"))
			wantPools(s, "main")
			waitGone(s, harness.WorkerPIDs(others))
			s.WantUnchanged(before)
		}
		l.Finish()
		// The first site is removed.
		s.MustReload(site("PORT", "main") + site("PORT2", "main"))
		s.Options.Global = strings.Replace(s.Options.Global, "pool other "+shape, "", 1)
		if res := s.Admin("POST", "/load", s.Config(site("PORT2", "main"))); res.StatusCode != 200 {
			t.Fatal(res.Text)
		}
		wantPools(s, "main")
		wantAmong(t, s.GetFrom(s.Port+1, "/pid.php"), harness.WorkerPIDs(before))
		s.WantUnchanged(before)
		s.WantWorkerProcesses(b, 2)
		s.WantNoneFailed()
	})
}

// wantPools checks the names of the pools in the admin API.
func wantPools(s *harness.Server, want ...string) {
	s.T.Helper()
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools", "").Text), &list); err != nil {
		s.T.Fatal(err)
	}
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, want) {
		s.T.Errorf("got pools %v, want %v", names, want)
	}
}

// waitGone waits until processes have exited.
func waitGone(s *harness.Server, pids []int) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		for _, p := range s.PHPProcesses() {
			if slices.Contains(pids, p.PID) {
				return fmt.Errorf("still there: %v", p)
			}
		}
		return nil
	})
}

// wantAmong checks that a response of pid.php comes from one of these processes.
func wantAmong(t *testing.T, response string, pids []int) {
	t.Helper()
	if !slices.ContainsFunc(pids, func(pid int) bool { return fmt.Sprint(pid) == response }) {
		t.Errorf("process %s responded, want one of %v", response, pids)
	}
}
