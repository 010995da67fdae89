//go:build linux

package e2e

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

// backend is what runs PHP: a form of php_pool, or the incumbent.
type backend struct {
	name  string
	lines []string // options that make php_pool this form
	fpm   bool     // php_fastcgi and php-fpm instead
	proxy bool     // the request goes through Caddy's reverse proxy
}

// viaProxy is an option that the lean handler cannot do, so that requests take
// the way through Caddy's reverse proxy.
const viaProxy = "header_down +X-Via-Proxy 1"

var (
	sharedLean  = backend{name: "shared-lean", lines: []string{"spawn shared"}}
	singleLean  = backend{name: "single-lean", lines: []string{"spawn single"}}
	sharedProxy = backend{name: "shared-proxy", lines: []string{"spawn shared", viaProxy}, proxy: true}
	singleProxy = backend{name: "single-proxy", lines: []string{"spawn single", viaProxy}, proxy: true}
	fpm         = backend{name: "fpm", fpm: true, proxy: true}
)

var (
	everyForm = []backend{sharedLean, singleLean, sharedProxy, singleProxy}
	spawnOnly = []backend{sharedLean, singleLean}
	bothWays  = []backend{sharedLean, singleProxy} // each way to spawn, each way through Caddy
)

// each runs a test for every backend, or for those named by -backend.
func each(t *testing.T, backends []backend, test func(*testing.T, backend)) {
	t.Helper()
	if *backendFlag != "" {
		names := strings.Split(*backendFlag, ",")
		backends = slices.DeleteFunc(append(slices.Clone(backends), fpm), func(b backend) bool {
			return !slices.Contains(names, b.name)
		})
	}
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}

// placeholder is a line with the directive: indent, matcher, opening brace.
var placeholder = regexp.MustCompile(`(?m)^([ \t]*)PHP( +[^\s{]+)?( *\{)?$`)

// expand writes the backend's directive where the Caddyfile says PHP.
func (b backend) expand(caddyfile string, o options) string {
	name, address := "php_pool", ""
	lines := append([]string{"manager static", fmt.Sprint("workers ", o.workers)}, b.lines...)
	for _, kv := range o.ini {
		lines = append(lines, fmt.Sprintf("ini %s %q", kv[0], kv[1]))
	}
	if b.fpm {
		name, address, lines = "php_fastcgi", " unix/{$DIR}/fpm.sock", nil
	}
	return placeholder.ReplaceAllStringFunc(caddyfile, func(line string) string {
		part := placeholder.FindStringSubmatch(line)
		text := part[1] + name + part[2] + address + " {\n" + strings.Join(lines, "\n")
		if part[3] == "" {
			text += "\n}"
		}
		return text
	})
}

// startFPM runs php-fpm with php-cgi's own php.ini, listening at dir/fpm.sock.
func startFPM(t *testing.T, dir string, o options) *keeper {
	t.Helper()
	c := commandFPM(t, dir, o)
	k := keep(t, c)
	eventually(t, func() error {
		if _, err := os.Stat(filepath.Join(dir, "fpm.sock")); err != nil {
			return fmt.Errorf("php-fpm does not listen:\n%s", readFile(t, c.Log))
		}
		return nil
	})
	return k
}

// commandFPM writes php-fpm's configuration and says how to run it.
func commandFPM(t *testing.T, dir string, o options) command {
	t.Helper()
	bin := findFPM(t)
	log := filepath.Join(dir, "fpm.log")
	conf := fmt.Sprintf(`[global]
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
`, log, dir, o.workers)
	if os.Getuid() == 0 {
		conf += "user = www-data\ngroup = www-data\n"
	}
	for _, kv := range o.ini {
		conf += fmt.Sprintf("php_value[%s] = %q\n", kv[0], kv[1])
	}
	for i := range o.pools {
		conf += fmt.Sprintf("[p%d]\nlisten = %s/p%[1]d.sock\nlisten.mode = 0666\npm = static\npm.max_children = 1\n", i, dir)
		if os.Getuid() == 0 {
			conf += "user = www-data\ngroup = www-data\n"
		}
	}
	writeFile(t, filepath.Join(dir, "fpm.conf"), conf)
	ini := phpIni(t)
	return command{
		Args: []string{bin, "-F", "-y", filepath.Join(dir, "fpm.conf"), "-c", ini},
		Env:  []string{"PATH=" + os.Getenv("PATH"), "PHP_INI_SCAN_DIR=" + filepath.Join(filepath.Dir(ini), "conf.d")},
		Dir:  dir,
		Log:  log,
	}
}

// findFPM prefers the copy of make deps, which runs no service.
func findFPM(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{filepath.Join(cacheDir(t), "fpm/usr/sbin/php-fpm*"), "/usr/sbin/php-fpm*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatal("php-fpm is missing: run make deps")
	return ""
}

// phpIni asks php-cgi which php.ini it reads.
func phpIni(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("php-cgi", "-q", "-i")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal("php-cgi -i:", err)
	}
	found := regexp.MustCompile(`Loaded Configuration File </td><td class="v">(\S+)`).FindSubmatch(out)
	if found == nil {
		t.Fatal("php-cgi -i names no php.ini")
	}
	return string(found[1])
}

// phpUser is who PHP runs as when Caddy is started by these tests.
func phpUser(t *testing.T) *user.User {
	t.Helper()
	u, err := user.Current()
	if err == nil && u.Uid == "0" {
		u, err = user.Lookup("www-data")
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// phpUID is that user's number, or 0, which switches to none, where the tests
// cannot switch.
func phpUID(t *testing.T) uint32 {
	t.Helper()
	if os.Getuid() != 0 {
		return 0
	}
	uid, err := strconv.ParseUint(phpUser(t).Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(uid)
}

// phpCGI is the program itself.
func phpCGI(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("php-cgi")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
