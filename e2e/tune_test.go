//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tuneScript tells what settings are before and after a script changes them.
const tuneScript = `<?php
foreach (['opcache.revalidate_freq', 'display_errors', 'error_reporting', 'zend.assertions'] as $name) {
    $before[$name] = ini_get($name);
    ini_set($name, '0');
    $after[$name] = ini_get($name);
}
echo json_encode(['before' => $before, 'after' => $after]);
`

// tuneSettings are what tuneScript answers.
type tuneSettings struct{ Before, After map[string]string }

func (s *server) tuneSettings(path string) (got tuneSettings) {
	s.t.Helper()
	res := s.get(path)
	if err := json.Unmarshal([]byte(res.body), &got); err != nil {
		s.t.Fatalf("%s: %v: %s", path, err, res.body)
	}
	return got
}

// wantSettings checks what a script finds, and that it may change it.
func (s *server) wantSettings(path string, want map[string]string) {
	s.t.Helper()
	got := s.tuneSettings(path)
	if !maps.Equal(got.Before, want) {
		s.t.Errorf("%s: got %v, want %v", path, got.Before, want)
	}
	for name, value := range got.After {
		if value != "0" {
			s.t.Errorf("%s: %s is %s after ini_set", path, name, value)
		}
	}
}

// settingsOf are the four that tuneScript tells of.
func settingsOf(revalidate, display, reporting, assertions string) map[string]string {
	return map[string]string{
		"opcache.revalidate_freq": revalidate, "display_errors": display, "error_reporting": reporting, "zend.assertions": assertions,
	}
}

func TestTuneAddsOnlyWhatNobodyElseSets(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		ini := filepath.Join(s.dir, "php.ini")
		writeFile(t, ini, "")
		for _, dir := range []string{"", "user", "section"} {
			writeFile(t, filepath.Join(s.site, dir, "tune.php"), tuneScript)
		}
		writeFile(t, filepath.Join(s.site, "user/.user.ini"), "error_reporting = 3\n")
		giveToPHP(t, s.site)
		site := func(more ...string) string { return poolSite(b, append([]string{"ini_file " + ini}, more...)...) }

		if err := s.run(site()); err != nil {
			t.Fatal(err)
		}
		s.wantSettings("/tune.php", settingsOf("2", "1", "", "1")) // PHP's own
		s.wantTune("")

		// Another tune is another generation, and so is another php.ini.
		generation := s.pool().Generation
		s.mustReload(site("tune production"))
		s.wantSettings("/tune.php", settingsOf("60", "1", "", "1"))
		s.wantTune("tune production sets opcache.revalidate_freq=60")
		if got := s.pool().Generation; got != generation+1 {
			t.Errorf("got generation %d after %d", got, generation)
		}

		s.mustReload(site("tune development"))
		s.wantSettings("/tune.php", settingsOf("0", "1", "32767", "1"))
		s.wantSettings("/user/tune.php", settingsOf("0", "1", "3", "1"))

		writeFile(t, ini, fmt.Sprintf("display_errors = Off\nopcache.revalidate_freq = 7\n[PATH=%s/section]\nzend.assertions = 0\n", s.site))
		s.mustReload(site("tune development", "ini error_reporting E_ERROR"))
		s.wantSettings("/tune.php", settingsOf("7", "", "1", "1"))
		s.wantSettings("/user/tune.php", settingsOf("7", "", "3", "1"))
		s.wantSettings("/section/tune.php", settingsOf("7", "", "1", "0"))
		const text = `tune development sets display_startup_errors=1, zend.assertions=1; ini files set display_errors="", opcache.revalidate_freq=7; ` +
			`the config sets error_reporting=E_ERROR`
		s.wantTune(text)
		if err := s.reload(site("tune fast")); err == nil {
			t.Error("tune fast was taken")
		}

		// Somebody takes the line out of php.ini again.
		writeFile(t, ini, "display_errors = Off\n")
		if res := s.admin("POST", "/php_pool/pools/main/restart", ""); res.StatusCode != 200 {
			t.Fatalf("restart: %s: %s", res.Status, res.body)
		}
		s.wantSettings("/tune.php", settingsOf("0", "", "1", "1"))
	})
}

// wantTune checks what the pool's status and doctor say of tune.
func (s *server) wantTune(text string) {
	s.t.Helper()
	var pool struct{ Tune struct{ Text string } }
	res := s.admin("GET", "/php_pool/pools/main", "")
	if err := json.Unmarshal([]byte(res.body), &pool); err != nil || pool.Tune.Text != text {
		s.t.Errorf("the admin API says %q, want %q (%v)", pool.Tune.Text, text, err)
	}
}

// TestTuneDevelopmentRunsWhatWasSaved: by default PHP looks at a script again two
// seconds after it did.
func TestTuneDevelopmentRunsWhatWasSaved(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := start(t, b, poolSite(b, "ini_file /dev/null", "ini opcache.file_update_protection 0", "tune development"))
		path := filepath.Join(s.site, "saved.php")
		begun := time.Now().Add(-time.Hour)
		for i := range 20 {
			writeFile(t, path, fmt.Sprintf("<?php echo 'version %d';", i))
			if err := os.Chtimes(path, begun, begun.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
			s.get("/saved.php").want(t, 200, fmt.Sprintf("version %d", i))
		}
	})
}

// TestStatusSaysWhichCacheLacksRoom gives a real PHP caches that are too small.
func TestStatusSaysWhichCacheLacksRoom(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		small := []string{
			"ini opcache.enable 1", "ini opcache.interned_strings_buffer 3", "ini realpath_cache_size 600", "ini opcache.revalidate_freq 0",
			"ini opcache.file_update_protection 0", "workers 1",
		}
		s := start(t, b, poolSite(b, small...))
		var words strings.Builder
		for i := range 30_000 {
			fmt.Fprintf(&words, "'a word of its own that nobody else uses %d',", i)
		}
		writeFile(t, filepath.Join(s.site, "words.php"), "<?php $words = ["+words.String()+"]; shuffle($words); echo count($words);")
		s.get("/words.php").want(t, 200, "30000")
		s.phpPool("status").says(0,
			`(?m)^main: OPcache's room for strings is as good as full .*\n  → write .ini opcache\.interned_strings_buffer 6. \(now 3\)`,
			`(?m)^main: the realpath cache of a worker is as good as full .*\n  → write .ini realpath_cache_size 1200. \(now 600\)`,
			`(?m)^main: opcache.revalidate_freq is 0: .*for 3 to 13 % of the CPU time\n  → write .ini opcache\.revalidate_freq 2.`)
		if err := s.reload(poolSite(b, "ini opcache.enable 1", "ini opcache.interned_strings_buffer 8", "tune development", "workers 1")); err != nil {
			t.Fatal(err)
		}
		s.get("/hello.php").contains(t, 200, "")
		if r := s.phpPool("status"); r.code != 0 || strings.Contains(r.stdout, "→") {
			t.Errorf("got exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		s.phpPool("status", "main").says(0, `(?m)^main: tune development sets .*opcache\.revalidate_freq=0`)
	})
}
