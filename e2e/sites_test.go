//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestNoRequestIsLostWhenSitesComeAndGo has a second site that shares the pool
// of the first, has one of its own, and goes again.
func TestNoRequestIsLostWhenSitesComeAndGo(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		site := func(port string, pools ...string) string {
			text := fmt.Sprintf("http://127.0.0.1:{$%s} {\nroot {$SITE}\n", port) + accessLog
			for i, pool := range pools {
				text += fmt.Sprintf("handle_path /%d/* {\nphp_pool {\npool %s\n}\n}\n", i, pool)
			}
			return text + fmt.Sprintf("php_pool {\npool %s\n%s\n}\n}\n", pools[0], bookLine)
		}
		shape := "{\nmanager static\nworkers 2\n" + strings.Join(b.lines, "\n") + "\n}\n"
		s := start(t, b, site("PORT", "main"), options{global: "php_pool {\npool main " + shape + "pool other " + shape + "}"})
		l := s.load(checkScript, 3)
		before := s.pool()
		for range rounds(2) {
			s.mustReload(site("PORT", "main") + site("PORT2", "main"))
			wantPools(s, "main")
			wantAmong(t, s.getOn(s.port+1, "/pid.php"), pids(before))

			s.mustReload(site("PORT", "main") + site("PORT2", "other", "main"))
			wantPools(s, "main", "other")
			others := s.poolNamed("other")
			wantAmong(t, s.getOn(s.port+1, "/pid.php"), pids(others))
			wantAmong(t, s.getOn(s.port+1, "/0/pid.php"), pids(others))
			wantAmong(t, s.getOn(s.port+1, "/1/pid.php"), pids(before))

			s.mustReload(site("PORT", "main", "other"))
			wantPools(s, "main", "other")
			if got := pids(s.poolNamed("other")); !slices.Equal(got, pids(others)) {
				t.Errorf("the workers of a pool that has moved to another site are %v, and were %v", got, pids(others))
			}

			s.mustReload(site("PORT", "main"))
			wantPools(s, "main")
			wantGone(s, pids(others))
			s.wantUnchanged(before)
		}
		l.end()
		// The site that came first goes.
		s.mustReload(site("PORT", "main") + site("PORT2", "main"))
		s.opts.global = strings.Replace(s.opts.global, "pool other "+shape, "", 1)
		if res := s.admin("POST", "/load", s.config(site("PORT2", "main"))); res.StatusCode != 200 {
			t.Fatal(res.body)
		}
		wantPools(s, "main")
		wantAmong(t, s.getOn(s.port+1, "/pid.php"), pids(before))
		s.wantUnchanged(before)
		s.wantProcesses(b, 2)
		s.wantNoneFailed()
	})
}

// wantPools checks which pools the admin API knows.
func wantPools(s *server, want ...string) {
	s.t.Helper()
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(s.admin("GET", "/php_pool/pools", "").body), &list); err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	if !slices.Equal(names, want) {
		s.t.Errorf("got pools %v, want %v", names, want)
	}
}

// wantGone waits until processes have ended.
func wantGone(s *server, pids []int) {
	s.t.Helper()
	eventually(s.t, func() error {
		for _, p := range s.php() {
			if slices.Contains(pids, p.pid) {
				return fmt.Errorf("still there: %v", p)
			}
		}
		return nil
	})
}

// wantAmong checks that an answer of pid.php comes from one of a pool's workers.
func wantAmong(t *testing.T, answer string, pids []int) {
	t.Helper()
	if !slices.ContainsFunc(pids, func(pid int) bool { return fmt.Sprint(pid) == answer }) {
		t.Errorf("process %s has answered, want one of %v", answer, pids)
	}
}
