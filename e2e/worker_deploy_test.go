//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// releaseWorker responds with the number of the release that it was started from, and
// of the one that it includes late.
const releaseWorker = `<?php
$release = require __DIR__ . '/number.php';
while (frankenphp_handle_request(function () use ($release) {
	echo "release $release: ", require __DIR__ . '/number.php', ' ', __DIR__ === dirname($_SERVER['SCRIPT_FILENAME']) ? 'same' : 'other';
})) {}
`

// A root that is a symlink to a release and then leads to another one starts a new
// generation, while requests are served all the time.
func TestWorkerDeploy_SymlinkSwitch(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		s.Site = filepath.Join(s.Dir, "current", "public")
		deploy := func(n int) {
			t.Helper()
			release := filepath.Join(s.Dir, "releases", fmt.Sprint(n))
			harness.WriteFile(t, filepath.Join(release, "public", "index.php"), releaseWorker)
			harness.WriteFile(t, filepath.Join(release, "public", "number.php"), fmt.Sprintf("<?php return %d;", n))
			harness.Symlink(t, release, filepath.Join(s.Dir, "current"))
		}
		deploy(0)
		if err := s.Run(workerSite(b, "num 2")); err != nil {
			t.Fatal(err)
		}
		s.Get("/").Want(t, 200, "release 0: 0 same")
		deploy(1)
		harness.Eventually(t, func() error {
			res := s.Get("/")
			if res.StatusCode != 200 {
				t.Fatalf("got %s: %s", res.Status, res.Text)
			}
			if res.Text != "release 1: 1 same" {
				return fmt.Errorf("got %q", res.Text)
			}
			return nil
		})
		s.WantNoneFailed()
		if p := s.PoolNamed("plain"); p.Requests.Total != 0 {
			t.Errorf("the ordinary pool has served %d requests of the worker", p.Requests.Total)
		}
		// A release that does not start changes nothing.
		release := filepath.Join(s.Dir, "releases", "2")
		harness.WriteFile(t, filepath.Join(release, "public", "index.php"), `<?php throw new Exception('half written');`)
		harness.Symlink(t, release, filepath.Join(s.Dir, "current"))
		entry := s.WaitLogged("the new generation of the worker script failed to start; keeping the old one", 1)
		if text := fmt.Sprint(entry["error"]); !strings.Contains(text, "half written") {
			t.Errorf("got the error %s", text)
		}
		s.Get("/").WantContains(t, 200, "release 1: 1")
		// It is tried again.
		harness.WriteFile(t, filepath.Join(release, "public", "index.php"), releaseWorker)
		harness.WriteFile(t, filepath.Join(release, "public", "number.php"), `<?php return 2;`)
		harness.Eventually(t, func() error {
			if res := s.Get("/"); res.Text != "release 2: 2 same" {
				return fmt.Errorf("got %q", res.Text)
			}
			return nil
		})
	})
}

// A restart runs the code as it is now, whatever OPcache checks.
func TestWorkerDeploy_RestartRunsNewCode(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"ini opcache.validate_timestamps 0", "ini opcache.file_update_protection 0"}, "num 2"),
			map[string]string{"index.php": releaseWorker, "number.php": `<?php return 1;`})
		s.Get("/").Want(t, 200, "release 1: 1 same")
		harness.WriteFile(t, filepath.Join(s.Site, "number.php"), `<?php return 2;`)
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		s.Get("/").Want(t, 200, "release 2: 2 same")
		s.WantNoneFailed()
	})
}

// watch starts a new generation when a file changes that its patterns name, and no other.
func TestWorkerDeploy_Watch(t *testing.T) {
	t.Parallel()
	b := harness.SharedLean
	s := startWorker(t, b, workerSiteWith(b, []string{"ini opcache.revalidate_freq 0"}, "num 1", "watch", "watch {$SITE}/../templates/**/*.{twig,html}"), map[string]string{
		"index.php": releaseWorker, "number.php": `<?php return 1;`, "../composer.json": "{}",
		"../templates/a/page.html": "x", "../src/data.json": "1",
	})
	write := func(name, content string) { harness.WriteFile(t, filepath.Join(s.Site, name), content) }
	generation := s.Pool().Generation
	waitNext := func(what string) {
		t.Helper()
		generation++
		s.WaitPool("that of a new generation because of "+what, func(p harness.PoolStatus) bool { return p.Generation >= generation })
		if got := s.Pool().Generation; got != generation {
			t.Fatalf("%s: got generation %d, want %d", what, got, generation)
		}
	}
	write("../src/data.json", "22") // not watched: the next one is not the second
	write("number.php", `<?php return 22;`)
	waitNext("a changed file")
	s.Get("/").Want(t, 200, "release 22: 22 same")
	write("../src/New.php", `<?php`)
	waitNext("a new file")
	write("../templates/a/page.html", "xyz")
	waitNext("a template")
	write("../.env", "A=1")
	waitNext("the .env file")
	s.WantNoneFailed()
}

// opcache_reset() in a script, which PHP could not do while requests run that do not end,
// starts a new generation.
func TestWorkerDeploy_OPcacheReset(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := startWorker(t, b, workerSiteWith(b, []string{"ini opcache.enable 1", "ini opcache.validate_timestamps 0", "ini opcache.file_update_protection 0"}, "num 1"),
			map[string]string{"number.php": `<?php return 1;`, "index.php": `<?php
				while (frankenphp_handle_request(function () {
					if (isset($_GET['reset'])) { echo var_export(opcache_reset(), true); return; }
					$s = opcache_get_status(false);
					echo require __DIR__ . '/number.php', ' ', $s['opcache_enabled'] ? 'on' : 'off', ' ', $s['restart_pending'] ? 'pending' : 'no restart';
				})) {}`})
		s.Get("/").Want(t, 200, "1 on no restart")
		harness.WriteFile(t, filepath.Join(s.Site, "number.php"), `<?php return 2;`)
		s.Get("/").Want(t, 200, "1 on no restart")
		s.Get("/?reset").Want(t, 200, "true")
		harness.Eventually(t, func() error {
			if res := s.Get("/"); res.Text != "2 on no restart" {
				return fmt.Errorf("got %q", res.Text)
			}
			return nil
		})
		s.WantNoneFailed()
		harness.Eventually(t, func() error {
			if entries := s.Logged("new generation active"); len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0]["reason"]), "opcache_reset") {
				return fmt.Errorf("got %v, want one new generation", entries)
			}
			return nil
		})
	})
}
