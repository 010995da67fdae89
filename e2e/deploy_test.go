//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
)

// TestNoRequestIsLostOrMixedByDeploys moves the symlink that is the root from
// release to release, with everything on that makes PHP remember files: each
// request that begins later is of the new release, and each one that has begun
// ends as what it was. Nothing is reloaded.
func TestNoRequestIsLostOrMixedByDeploys(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		s.site = filepath.Join(s.dir, "current")
		deploy := func(n int) {
			t.Helper()
			release := filepath.Join(s.dir, "releases", fmt.Sprint(n))
			copyTree(t, release, "testdata/release")
			for _, name := range []string{"number.php", "late.php", "later.php"} {
				writeFile(t, filepath.Join(release, name), fmt.Sprintf("<?php return %d;", n))
			}
			writeFile(t, filepath.Join(release, "number.txt"), fmt.Sprint(n))
			link(t, release, s.site)
		}
		deploy(0)
		if err := s.run(loadSite(b, "manager static", "workers 4", "ini opcache.enable 1", "ini opcache.file_update_protection 0",
			"ini opcache.revalidate_freq 3600", "ini realpath_cache_ttl 3600")); err != nil {
			t.Fatal(err)
		}
		before := s.pool()
		l := s.load("/check.php", 6)
		for i := range rounds(20) {
			l.allow(i + 1)
			deploy(i + 1)
			l.set(i + 1)
			l.more(40)
		}
		l.end()
		s.wantUnchanged(before)
		s.wantNoneFailed()
		for _, w := range s.pool().List {
			if w.Requests < 20 {
				t.Errorf("worker %d has served only %d requests", w.ID, w.Requests)
			}
		}
	})
}
