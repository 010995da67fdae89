//go:build linux

package e2e

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
)

var (
	backendFlag = flag.String("backend", "", "comma-separated: only these, for instance fpm,single-lean (default: every form of php_pool)")
	caddyFlag   = flag.String("caddy", "", "a Caddy to test instead of the one built from these sources")
)

// CaddyBinary is the Caddy under test, and RaceBuilt whether it was built with -race,
// which makes it slower and several times larger.
var (
	CaddyBinary string
	RaceBuilt   bool
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(superviseEnv); spec != "" {
		os.Exit(superviseMain(spec))
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if flag.Lookup("test.list").Value.String() != "" {
		return m.Run()
	}
	if _, err := exec.LookPath("php-cgi"); err != nil {
		fmt.Fprintln(os.Stderr, "php-cgi is missing: run make test, which installs it")
		return 1
	}
	dir, err := os.MkdirTemp("", "php_pool-caddy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Other users run it too: php-cgi's for one, nobody for another.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	CaddyBinary = filepath.Join(dir, "caddy")
	provide := exec.Command("go", "build", "-o", CaddyBinary, "../caddymodule/cmd/caddy")
	if *caddyFlag != "" {
		provide = exec.Command("cp", *caddyFlag, CaddyBinary)
	}
	provide.Stderr = os.Stderr
	if err := provide.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", provide, err)
		return 1
	}
	info, err := buildinfo.ReadFile(CaddyBinary)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	RaceBuilt = slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
	return m.Run()
}

// CacheDir is where make deps puts packages that are used but not installed.
func CacheDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PHP_POOL_TEST_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "php_pool-test")
}
