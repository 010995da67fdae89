//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestDeploy_SymlinkSwitchUnderLoad points the symbolic link that is the root to
// one release after the other, with all of PHP's file caches on. Each request runs
// one release from start to end: the current one when it started. There is no reload.
func TestDeploy_SymlinkSwitchUnderLoad(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		s.Site = filepath.Join(s.Dir, "current")
		deploy := func(n int) {
			t.Helper()
			release := filepath.Join(s.Dir, "releases", fmt.Sprint(n))
			harness.CopyTree(t, release, "testdata/release")
			for _, name := range []string{"number.php", "late.php", "later.php"} {
				harness.WriteFile(t, filepath.Join(release, name), fmt.Sprintf("<?php return %d;", n))
			}
			harness.WriteFile(t, filepath.Join(release, "number.txt"), fmt.Sprint(n))
			harness.Symlink(t, release, s.Site)
		}
		deploy(0)
		if err := s.Run(harness.TrafficSite(b, "manager static", "workers 4", "ini opcache.enable 1", "ini opcache.file_update_protection 0",
			"ini opcache.revalidate_freq 3600", "ini realpath_cache_ttl 3600")); err != nil {
			t.Fatal(err)
		}
		before := s.Pool()
		l := s.StartTraffic("/check.php", 6)
		for i := range harness.Rounds(20) {
			l.AllowMark(i + 1)
			deploy(i + 1)
			l.RequireMark(i + 1)
			l.WaitRequests(40)
		}
		l.Finish()
		s.WantUnchanged(before)
		s.WantNoneFailed()
		for _, w := range s.Pool().List {
			if w.Requests < 20 {
				t.Errorf("worker %d has served only %d requests", w.ID, w.Requests)
			}
		}
	})
}
