//go:build linux

package e2e

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// fpmDump has the directives of a pool with their values, as `php-fpm -tt` prints them.
type fpmDump map[string]string

// importedPool is a pool in the JSON of a Caddyfile.
type importedPool struct {
	Manager        string            `json:"manager"`
	Workers        int               `json:"workers"`
	MaxWorkers     int               `json:"max_workers"`
	StartWorkers   int               `json:"start_workers"`
	MaxSpare       int               `json:"max_spare"`
	MaxRequests    int               `json:"max_requests"`
	MaxQueue       int               `json:"max_queue"`
	IdleTimeout    time.Duration     `json:"idle_timeout"`
	RequestTimeout time.Duration     `json:"request_timeout"`
	SlowRequest    time.Duration     `json:"slow_request"`
	BacktraceDepth int               `json:"backtrace_depth"`
	StopTimeout    time.Duration     `json:"stop_timeout"`
	Rlimits        map[string]uint64 `json:"rlimits"`
	Nice           int               `json:"nice"`
	User           string            `json:"user"`
	INI            map[string]string `json:"ini"`
	AdminINI       map[string]string `json:"admin_ini"`
	ProcessEnv     map[string]string `json:"process_env"`
	InheritEnv     []string          `json:"inherit_env"`
}

// TestImport_AsPHPFPM converts the files of the golden tests, and compares each value of
// the result with what php-fpm itself reads from the same files.
func TestImport_AsPHPFPM(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Glob("../caddymodule/testdata/import/*.txt")
	if err != nil || len(golden) < 12 {
		t.Fatalf("got %d golden files, %v", len(golden), err)
	}
	s := harness.Prepare(t, harness.SharedLean)
	fpm := harness.FPMCommand(t, s.Dir, harness.Options{Workers: 1}).Args[0]
	for _, file := range golden {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			input, _, _ := strings.Cut(harness.ReadFile(t, file), "----------\n")
			dir := t.TempDir()
			first := writeFPMFiles(t, dir, input)
			env := append(slices.Clone(s.Command("version").Env), "PATH="+os.Getenv("PATH"), "PHP_USER=www-data", "PHP_WORKERS=7", "PHP_MEMORY=64M", "PHP_TZ=UTC", "HOSTNAME=h")
			run := func(name string, args ...string) (string, error) {
				cmd := exec.Command(name, args...)
				cmd.Env = env
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if name == fpm {
					return stderr.String(), err
				}
				return string(out), err
			}
			dump, fpmErr := run(fpm, "-tt", "-n", "-y", first, "-p", filepath.Join(dir, "usr/local"))
			text, importErr := run(harness.CaddyBinary, "php-pool", "import", first)
			if lost := strings.Contains(text, "NOT IMPORTED"); lost != (importErr != nil) {
				t.Errorf("import: %v of\n%s", importErr, text)
			}
			if fpmErr != nil && importErr == nil {
				t.Fatalf("php-fpm refuses what import takes: %v\n%s", fpmErr, dump)
			}
			if filepath.Base(file) == "invalid.txt" {
				if fpmErr == nil {
					t.Errorf("php-fpm takes\n%s", input)
				}
				return
			}
			if fpmErr != nil {
				t.Fatalf("php-fpm -tt: %v\n%s", fpmErr, dump)
			}
			harness.WriteFile(t, filepath.Join(dir, "Caddyfile"), text)
			adapted, err := run(harness.CaddyBinary, "adapt", "--config", filepath.Join(dir, "Caddyfile"))
			if err != nil {
				t.Fatalf("adapt: %v\n%s", err, text)
			}
			compareImported(t, dump, adapted, text)
		})
	}
}

// writeFPMFiles writes the files of a golden file below dir, and returns the first one.
func writeFPMFiles(t *testing.T, dir, input string) string {
	t.Helper()
	for _, name := range []string{"log", "srv/jail", "srv/log", "usr/local/log"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	moved := strings.NewReplacer("/etc/php/", dir+"/etc/php/", "/var/log/", dir+"/log/", "/srv", dir+"/srv").Replace
	first, name := "", ""
	files := map[string]string{}
	for line := range strings.Lines(input) {
		if header, ok := strings.CutPrefix(line, "-- "); ok {
			name = filepath.Join(dir, strings.TrimSuffix(header, " --\n"))
			if first == "" {
				first = name
			}
			continue
		}
		files[name] += moved(line)
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, name, text)
	}
	return first
}

var (
	dumpPool = regexp.MustCompile(`NOTICE:\s+\[(.*)\]$`)
	dumpLine = regexp.MustCompile(`NOTICE: \t+([a-z_.]+(?:\[.*?\])?) = (.*)$`)
)

// compareImported compares what php-fpm says with the JSON.
func compareImported(t *testing.T, dump, adapted, text string) {
	t.Helper()
	pools := map[string]fpmDump{}
	current := ""
	for line := range strings.SplitSeq(dump, "\n") {
		if m := dumpPool.FindStringSubmatch(line); m != nil {
			current = m[1]
			pools[current] = fpmDump{}
		} else if m := dumpLine.FindStringSubmatch(line); m != nil {
			pools[current][m[1]] = m[2] // of several with a key the last one here counts
		}
	}
	var config struct {
		Apps struct {
			PHPPool struct {
				Defaults importedPool            `json:"defaults"`
				Pools    map[string]importedPool `json:"pools"`
				MaxTotal int                     `json:"max_workers_total"`
			} `json:"php_pool"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(adapted), &config); err != nil {
		t.Fatal(err)
	}
	general := pools["global"]
	if general == nil {
		general = pools["General"]
	}
	delete(pools, "global")
	delete(pools, "General")
	got := config.Apps.PHPPool
	if len(pools) == 0 || !slices.Equal(slices.Sorted(maps.Keys(pools)), slices.Sorted(maps.Keys(got.Pools))) {
		t.Fatalf("php-fpm has the pools %v of\n%s\nand the Caddyfile is\n%s", slices.Sorted(maps.Keys(pools)), dump, text)
	}
	compareNumber(t, general, "process_control_timeout", int(got.Defaults.StopTimeout/time.Second))
	compareNumber(t, general, "rlimit_files", int(got.Defaults.Rlimits["nofile"]))
	compareNumber(t, general, "process.max", got.MaxTotal)
	compareNumber(t, general, "process.priority", got.Defaults.Nice)
	for name, want := range pools {
		t.Run(name, func(t *testing.T) { comparePool(t, want, got.Pools[name]) })
	}
}

// compareNumber compares a number of php-fpm, where 0 and undefined are the same.
func compareNumber(t *testing.T, dump fpmDump, name string, got int) {
	t.Helper()
	want, _ := strconv.Atoi(strings.TrimSuffix(dump[name], "s"))
	if got != want && (want != 0 || got >= 0) {
		t.Errorf("%s is %q, and %d in the Caddyfile", name, dump[name], got)
	}
}

func comparePool(t *testing.T, want fpmDump, got importedPool) {
	t.Helper()
	seconds := func(d time.Duration) int { return int(d / time.Second) }
	pm := want["pm"]
	if pm == "static" {
		compareNumber(t, want, "pm.max_children", got.Workers)
	} else {
		compareNumber(t, want, "pm.max_children", got.MaxWorkers)
	}
	if pm == "dynamic" {
		compareNumber(t, want, "pm.start_servers", got.StartWorkers)
		compareNumber(t, want, "pm.max_spare_servers", got.MaxSpare)
	}
	if (pm == "ondemand") != (got.Manager == "ondemand") {
		t.Errorf("pm is %s, and the manager %q", pm, got.Manager)
	}
	if pm == "ondemand" {
		compareNumber(t, want, "pm.process_idle_timeout", seconds(got.IdleTimeout))
	}
	compareNumber(t, want, "pm.max_requests", got.MaxRequests)
	compareNumber(t, want, "request_terminate_timeout", seconds(got.RequestTimeout))
	compareNumber(t, want, "request_slowlog_timeout", seconds(got.SlowRequest))
	compareNumber(t, want, "request_slowlog_trace_depth", cmp.Or(got.BacktraceDepth, 20)) // the default is 20 in both
	compareNumber(t, want, "rlimit_files", int(got.Rlimits["nofile"]))
	compareNumber(t, want, "rlimit_core", int(got.Rlimits["core"]))
	if user, group, _ := strings.Cut(got.User, ":"); strings.Trim(user, "{}") != "env.PHP_USER" && (user != want["user"] || group != "" && group != want["group"]) {
		t.Errorf("user %s and group %s are %s", want["user"], want["group"], got.User)
	}
	if inherits := slices.Contains(got.InheritEnv, "*"); inherits != (want["clear_env"] == "no") {
		t.Errorf("clear_env is %s, and inherit_env %v", want["clear_env"], got.InheritEnv)
	}
	compareMap(t, "php_value", want, got.INI)
	compareMap(t, "php_admin_value", want, got.AdminINI)
	compareMap(t, "env", want, got.ProcessEnv)
}

// compareMap compares the lines that have a key.
func compareMap(t *testing.T, name string, want fpmDump, got map[string]string) {
	t.Helper()
	for directive, value := range want {
		key, ok := strings.CutPrefix(directive, name+"[")
		if !ok {
			continue
		}
		key = strings.TrimSuffix(key, "]")
		if key == "disable_functions" { // each name has to be there
			for function := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ' ' }) {
				if !slices.Contains(strings.Split(got[key], ","), function) {
					t.Errorf("%s is %q, and %q in the Caddyfile", directive, value, got[key])
				}
			}
			continue
		}
		if variable, ok := strings.CutPrefix(value, "$"); ok && name == "env" {
			if value = "{env." + variable + "}"; strings.Contains(variable, "/") {
				continue // php-fpm does not set it
			}
		}
		if value == "{$HOME}" { // reported as not imported
			continue
		}
		if got[key] != value {
			t.Errorf("%s is %q, and %q in the Caddyfile", directive, value, got[key])
		}
	}
	for key := range got {
		if _, ok := want[name+"["+key+"]"]; !ok {
			t.Errorf("the Caddyfile has %s %s, and php-fpm does not", name, key)
		}
	}
}
