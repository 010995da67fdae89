//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestStart_RemembersPHP checks that a start remembers in Caddy's data directory what
// php-cgi is, and that a damaged file does no harm.
func TestStart_RemembersPHP(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean)
	data := filepath.Join(s.Home, "data")
	for _, dir := range []string{data, filepath.Join(data, "caddy")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s.Own(dir)
	}
	start := func() {
		t.Helper()
		s.Stopped = false
		if err := os.Remove(filepath.Join(s.Dir, "caddy.log")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err) // Run looks in it for the start
		}
		if err := s.Run(harness.PoolSite(harness.SharedLean)); err != nil {
			t.Fatal(err)
		}
		if res := s.Get("/hello.php"); res.StatusCode != 200 {
			t.Errorf("got %d: %s", res.StatusCode, res.Text)
		}
		s.Stop(syscall.SIGTERM)
	}
	remembered := func() []string {
		files, err := filepath.Glob(filepath.Join(data, "caddy", "php_pool-detected", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	start()
	if s.Options.RunAs == harness.AsCapable { // PHP may be this user, and others too
		if files := remembered(); len(files) > 0 {
			t.Errorf("got %q, want nothing remembered", files)
		}
		return
	}
	// What has changed within the last two seconds is not remembered, as Caddy itself if
	// it was built just now.
	harness.Eventually(t, func() error {
		if len(remembered()) == 0 {
			start()
			return fmt.Errorf("nothing is remembered")
		}
		return nil
	})
	files := remembered()
	if len(files) != 1 {
		t.Fatalf("got files %q, want one", files)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a file with mode 0600", info, err)
	}
	good := harness.ReadFile(t, files[0])
	start()
	for _, bad := range []string{"", "{}", good[:len(good)-1], good + " "} {
		if err := os.WriteFile(files[0], []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		start()
		if again := harness.ReadFile(t, files[0]); again == bad {
			t.Errorf("a file with %q was not replaced", bad)
		}
	}
}
