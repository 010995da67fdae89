//go:build linux

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Backend is one way to run PHP: php_pool in one of its modes, or php_fastcgi with
// php-fpm.
type Backend struct {
	Name  string
	Lines []string // options of php_pool that select the mode
	FPM   bool     // php_fastcgi and php-fpm instead
	Proxy bool     // the request goes through Caddy's reverse proxy

	// Listener is php_fastcgi too, connected to the FastCGI listener of php_pool in the
	// same Caddy.
	Listener bool
}

// viaProxy is an option that only Caddy's reverse proxy supports, so requests go
// through it instead of the lean handler.
const viaProxy = "header_down +X-Via-Proxy 1"

// The backends: php_pool by spawn mode and transport, and php_fastcgi with php-fpm.
var (
	SharedLean  = Backend{Name: "shared-lean", Lines: []string{"spawn shared"}}
	SingleLean  = Backend{Name: "single-lean", Lines: []string{"spawn single"}}
	SharedProxy = Backend{Name: "shared-proxy", Lines: []string{"spawn shared", viaProxy}, Proxy: true}
	SingleProxy = Backend{Name: "single-proxy", Lines: []string{"spawn single", viaProxy}, Proxy: true}
	FPM         = Backend{Name: "fpm", FPM: true, Proxy: true}
	ByListener  = Backend{Name: "listener", Lines: []string{"spawn shared"}, Listener: true, Proxy: true}
)

// The backends that tests run with. A test needs only those that can differ in what it
// checks.
var (
	AllBackends    = []Backend{SharedLean, SingleLean, SharedProxy, SingleProxy}
	BothSpawnModes = []Backend{SharedLean, SingleLean}
	BothTransports = []Backend{SharedLean, SingleProxy} // each spawn mode and each transport once
)

// ForEach runs a test for every backend, or for those named by -backend.
func ForEach(t *testing.T, backends []Backend, test func(*testing.T, Backend)) {
	t.Helper()
	if *backendFlag != "" {
		names := strings.Split(*backendFlag, ",")
		backends = slices.DeleteFunc(append(slices.Clone(backends), FPM, ByListener), func(b Backend) bool {
			return !slices.Contains(names, b.Name)
		})
	}
	for _, b := range backends {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// directiveLine matches a line with the word PHP: indentation, matcher, brace.
var directiveLine = regexp.MustCompile(`(?m)^([ \t]*)PHP( +[^\s{]+)?( *\{)?$`)

// expand replaces the word PHP in a Caddyfile by the backend's directive.
func (b Backend) expand(caddyfile string, o Options) string {
	name, address, lines := "php_pool", "", b.poolOptions(o)
	switch {
	case b.FPM:
		name, address, lines = "php_fastcgi", " unix/{$DIR}/fpm.sock", o.FastCGI
	case b.Listener:
		name, address, lines = "php_fastcgi", " unix/{$DIR}/listener.sock", o.FastCGI
	}
	return directiveLine.ReplaceAllStringFunc(caddyfile, func(line string) string {
		part := directiveLine.FindStringSubmatch(line)
		text := part[1] + name + part[2] + address + " {\n" + strings.Join(lines, "\n")
		if part[3] == "" {
			text += "\n}"
		}
		return text
	})
}

// poolOptions are the options of the pool.
func (b Backend) poolOptions(o Options) []string {
	lines := append([]string{"manager static", fmt.Sprint("workers ", o.Workers)}, b.Lines...)
	for _, kv := range o.INI {
		lines = append(lines, fmt.Sprintf("ini %s %q", kv[0], kv[1]))
	}
	return lines
}

// global returns lines for the global options.
func (b Backend) global(o Options) string {
	if !b.Listener {
		return ""
	}
	return "php_pool {\n" + strings.Join(b.poolOptions(o), "\n") + "\nfastcgi unix/{$DIR}/listener.sock {\nstatus /fpm/status\nping /fpm/ping\n}\n}\n"
}

// StartFPM runs php-fpm with php-cgi's own php.ini, listening at dir/fpm.sock.
func StartFPM(tb testing.TB, dir string, o Options) *Supervised {
	tb.Helper()
	c := FPMCommand(tb, dir, o)
	k := Supervise(tb, c)
	Eventually(tb, func() error {
		if _, err := os.Stat(filepath.Join(dir, "fpm.sock")); err != nil {
			return fmt.Errorf("php-fpm does not listen:\n%s", ReadFile(tb, c.Log))
		}
		return nil
	})
	return k
}

// FPMCommand writes php-fpm's configuration and returns the command that runs it.
func FPMCommand(tb testing.TB, dir string, o Options) Command {
	tb.Helper()
	bin := findFPM(tb)
	log := filepath.Join(dir, "fpm.log")
	var conf strings.Builder
	fmt.Fprintf(&conf, `[global]
error_log = %[1]s
daemonize = no
[www]
listen = %[2]s/fpm.sock
listen.mode = 0666
pm = static
pm.max_children = %[3]d
catch_workers_output = yes
pm.status_path = /fpm/status
ping.path = /fpm/ping
ping.response = "all is well"
`, log, dir, o.Workers)
	if os.Getuid() == 0 {
		conf.WriteString("user = www-data\ngroup = www-data\n")
	}
	for _, kv := range o.INI {
		fmt.Fprintf(&conf, "php_value[%s] = %q\n", kv[0], kv[1])
	}
	for i := range o.FPMPools {
		fmt.Fprintf(&conf, "[p%d]\nlisten = %s/p%[1]d.sock\nlisten.mode = 0666\npm = static\npm.max_children = 1\n", i, dir)
		if os.Getuid() == 0 {
			conf.WriteString("user = www-data\ngroup = www-data\n")
		}
	}
	conf.WriteString(o.FPMConf)
	WriteFile(tb, filepath.Join(dir, "fpm.conf"), conf.String())
	ini := phpINIPath(tb)
	return Command{
		Args: []string{bin, "-F", "-y", filepath.Join(dir, "fpm.conf"), "-c", ini},
		Env:  []string{"PATH=" + os.Getenv("PATH"), "PHP_INI_SCAN_DIR=" + filepath.Join(filepath.Dir(ini), "conf.d")},
		Dir:  dir,
		Log:  log,
	}
}

// findFPM finds php-fpm. It prefers the copy that make deps unpacked, which starts no
// service.
func findFPM(tb testing.TB) string {
	tb.Helper()
	for _, pattern := range []string{filepath.Join(CacheDir(tb), "fpm/usr/sbin/php-fpm*"), "/usr/sbin/php-fpm*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	tb.Fatal("php-fpm is missing: run make deps")
	return ""
}

// phpINIPath returns the php.ini that php-cgi reads.
func phpINIPath(tb testing.TB) string {
	tb.Helper()
	cmd := exec.Command("php-cgi", "-q", "-i")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		tb.Fatal("php-cgi -i:", err)
	}
	found := regexp.MustCompile(`Loaded Configuration File </td><td class="v">(\S+)`).FindSubmatch(out)
	if found == nil {
		tb.Fatal("php-cgi -i names no php.ini")
	}
	return string(found[1])
}

// PHPUser returns the user that PHP runs as when these tests start Caddy.
func PHPUser(tb testing.TB) *user.User {
	tb.Helper()
	u, err := user.Current()
	if err == nil && u.Uid == "0" {
		u, err = user.Lookup("www-data")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// PHPUID returns the ID of that user, or 0, which does not switch, if the tests do
// not run as root.
func PHPUID(tb testing.TB) uint32 {
	tb.Helper()
	if os.Getuid() != 0 {
		return 0
	}
	uid, err := strconv.ParseUint(PHPUser(tb).Uid, 10, 32)
	if err != nil {
		tb.Fatal(err)
	}
	return uint32(uid)
}

// PHPCGI returns the path of php-cgi, with symbolic links resolved.
func PHPCGI(tb testing.TB) string {
	tb.Helper()
	path, err := exec.LookPath("php-cgi")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
