//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestOPcache_CapacityWarnings runs PHP with caches that are too small.
func TestOPcache_CapacityWarnings(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		small := []string{
			"ini opcache.enable 1", "ini opcache.interned_strings_buffer 3", "ini realpath_cache_size 600", "ini opcache.revalidate_freq 0",
			"ini opcache.file_update_protection 0", "workers 1",
		}
		s := harness.Start(t, b, harness.PoolSite(b, small...))
		var words strings.Builder
		for i := range 30_000 {
			fmt.Fprintf(&words, "'a word that occurs only once in all scripts %d',", i)
		}
		harness.WriteFile(t, filepath.Join(s.Site, "words.php"), "<?php $words = ["+words.String()+"]; shuffle($words); echo count($words);")
		s.Get("/words.php").Want(t, 200, "30000")
		phpPool(s, "status").says(0,
			`(?m)^main: OPcache's string buffer is almost full .*\n  → write .ini opcache\.interned_strings_buffer 6. \(now 3\)`,
			`(?m)^main: the realpath cache of a worker is almost full .*\n  → write .ini realpath_cache_size 1200. \(now 600\)`,
			`(?m)^main: opcache.revalidate_freq is 0: .*which takes 3 to 13 % of the CPU time\n  → write .ini opcache\.revalidate_freq 2.`)
		if err := s.Reload(harness.PoolSite(b, "ini opcache.enable 1", "ini opcache.interned_strings_buffer 8", "workers 1")); err != nil {
			t.Fatal(err)
		}
		s.Get("/hello.php").WantContains(t, 200, "")
		if r := phpPool(s, "status"); r.code != 0 || strings.Contains(r.stdout, "→") {
			t.Errorf("got exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
}
