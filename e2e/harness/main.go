//go:build linux

package harness

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
	backendFlag = flag.String("backend", "", "comma-separated: only these, for instance fpm,single-lean (default: those of each test)")
	caddyFlag   = flag.String("caddy", "", "a Caddy to test instead of the one built from these sources")
)

// CaddyBinary is the path of the Caddy under test. RaceBuilt is set if it was built
// with -race: then it is slower and needs several times the memory.
var (
	CaddyBinary string
	RaceBuilt   bool
)

// Main runs the tests of a package, whose TestMain calls it. It builds the Caddy
// under test, or takes the one that -caddy names.
func Main(m *testing.M) {
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
	if *runAsFlag != "" && os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "-run-as: the tests do not run as root, and so cannot start Caddy as another user: go test -exec 'sudo -E'")
		return 1
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
	// Other users run it, too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	CaddyBinary = filepath.Join(dir, "caddy")
	provide := exec.Command("go", "build", "-o", CaddyBinary, "github.com/mevdschee/caddy-php-pool/caddymodule/cmd/caddy")
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

// Testdata returns the path of a directory in testdata of this package.
func Testdata(tb testing.TB, name string) string {
	tb.Helper()
	return filepath.Join(root(tb), "e2e", "harness", "testdata", name)
}

// root returns the directory of the module: tests run in that of their package.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod in the working directory or above")
		}
		dir = filepath.Dir(dir)
	}
}

// CacheDir returns the directory with the packages that make deps downloaded without
// installing them.
func CacheDir(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("PHP_POOL_TEST_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(dir, "php_pool-test")
}
