//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// result is the output and the exit code of a command.
type result struct {
	t              testing.TB
	args           string
	stdout, stderr string
	code           int
}

// phpPool runs `caddy php-pool` in the server's directory, whose Caddyfile has the
// admin address.
func phpPool(s *harness.Server, args ...string) *result {
	s.T.Helper()
	return phpPoolIn(s, os.Getenv("PATH"), args...)
}

// phpPoolIn runs it with another PATH.
func phpPoolIn(s *harness.Server, path string, args ...string) *result {
	s.T.Helper()
	c := s.Command(append([]string{"php-pool"}, args...)...)
	cmd := exec.CommandContext(s.T.Context(), c.Args[0], c.Args[1:]...)
	cmd.Env, cmd.Dir = append(slices.Clone(c.Env), "PATH="+path), c.Dir // the last PATH counts
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.T.Fatal(err)
	}
	return &result{s.T, strings.Join(args, " "), stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// says checks the exit code, and that expressions match stdout, or all output if the
// command failed.
func (r *result) says(code int, expressions ...string) {
	r.t.Helper()
	text := r.stdout
	if code != 0 {
		text += r.stderr
	}
	if r.code != code {
		r.t.Errorf("php-pool %s: got exit code %d, want %d\n%s%s", r.args, r.code, code, r.stdout, r.stderr)
	}
	for _, e := range expressions {
		if !regexp.MustCompile(e).MatchString(text) {
			r.t.Errorf("php-pool %s: %q does not match:\n%s", r.args, e, text)
		}
	}
}

// TestCommand_InspectAndManage runs all commands on one pool.
func TestCommand_InspectAndManage(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PoolSite(b, "max_workers 3", "min_workers 1", "start_workers 2"))
		s.Get("/hello.php").Want(t, 200, "hello\n")
		s.StartBlocked("wait.php")
		before := s.WaitPool("one with an idle worker", func(p harness.PoolStatus) bool { return p.Workers.Idle == 1 })

		phpPool(s, "status").says(0, `(?m)^POOL +PHP +MANAGER`, `(?m)^main +\d+\.\d+\.\d+\S* +dynamic +1 +1 +3 +0 +`)
		phpPool(s, "status", "main").says(0, `(?m)^main +\d+ +\d+ +busy +\d+\.\d .* GET /wait\.php$`)
		phpPool(s, "status", "--json").says(0, `^\[\{"name":"main",.*\}\]\n$`)
		phpPool(s, "top", "--once", "--interval", "200ms").says(0, `^1 pool: 1 busy, 1 idle, at most 3; queue 0; memory \d`,
			`(?m)^main +\d+ +\d+ +busy +\d+\.\d +\d+ .* GET /wait\.php$`, `(?m)^main +\d+ +\d+ +idle +- +\d+ `)

		phpPool(s, "restart", "main").says(0, `^pool main: generation 2 has replaced generation 1 after `)
		s.WaitPool("of generation 2", func(p harness.PoolStatus) bool { return p.Generation == 2 })

		phpPool(s, "scale", "main", "--max", "2", "--min", "2").says(0, `^pool main: at most 2 workers, at least 2; valid until the next config`)
		p := s.WaitPool("of two workers", func(p harness.PoolStatus) bool {
			return p.Workers.Max == 2 && p.Workers.Idle == 1 && p.Workers.Busy == 1
		})

		old := p.List[len(p.List)-1] // the idle worker
		id := fmt.Sprint(old.ID)
		phpPool(s, "recycle", "main", id).says(0, `^pool main: worker `+id+` is replaced after its request`)
		gone := func(id int) {
			t.Helper()
			s.WaitPool(fmt.Sprint("rid of worker ", id), func(p harness.PoolStatus) bool {
				return !slices.ContainsFunc(p.List, func(w harness.WorkerStatus) bool { return w.ID == id })
			})
		}
		gone(old.ID)

		// The busy worker of the previous generation is killed.
		busy := before.List[slices.IndexFunc(before.List, func(w harness.WorkerStatus) bool { return w.State == "busy" })]
		phpPool(s, "recycle", "main", fmt.Sprint(busy.ID), "--force").says(0, `is replaced now`)
		gone(busy.ID)
	})
}

func TestCommand_Errors(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1"))
	for _, c := range []struct {
		args string
		want string
	}{
		{"status absent", `unknown pool absent: the pools are main`},
		{"restart", `the name of a pool is missing: .*\(pools: main\)`},
		{"restart absent", `unknown pool absent: the pools are main`},
		{"scale main", `--max and --min are missing`},
		{"scale main --max 0", `max_workers 0 is out of range`},
		{"scale main --min 1", `min_workers cannot be used with manager static`},
		{"recycle main 999", `there is no worker 999 in pool main`},
		{"recycle main x", `invalid worker ID .+x`},
		{"top --sort name", `--sort name is not a column`},
		{"status --address unix/{dir}/none.sock", `no Caddy responds at unix/.*/none\.sock`},
		{"status --config {dir}/absent", `absent`},
		{"nonsense", `unknown command php-pool nonsense`},
	} {
		phpPool(s, strings.Fields(strings.ReplaceAll(c.args, "{dir}", s.Dir))...).says(1, c.want)
	}
	// A restart that fails keeps the workers.
	ini := filepath.Join(s.Dir, "php.ini")
	harness.WriteFile(t, ini, "memory_limit = 64M\n")
	if err := s.Reload(harness.PoolSite(harness.SharedLean, "workers 1", "ini_file "+ini)); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, ini, "zend_extension=opcache\nopcache.enable=1\nopcache.memory_consumption=100000000\n")
	phpPool(s, "restart", "--all").says(1, `pool main keeps generation 2: .*Unable to allocate shared memory`)
	s.Get("/hello.php").Want(t, 200, "hello\n")
}

func TestDoctor_FindsProblems(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean)
	broken := filepath.Join(s.Dir, "bin", "php-cgi")
	harness.WriteFile(t, broken, "#!/bin/sh\necho 'php-cgi: error while loading shared libraries: libxml2.so.2: cannot open' >&2\nexit 127\n")
	if err := os.Chmod(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Dir(broken) + ":" + os.Getenv("PATH")
	ini := filepath.Join(s.Dir, "etc", "php.ini")
	harness.WriteFile(t, ini, "display_errors = 1\nextension = no_such_thing\n")
	sound, err := exec.LookPath("php-cgi")
	if err != nil {
		t.Fatal(err)
	}
	site := harness.PoolSite(harness.SharedLean, "workers 3", "binary "+sound, "ini_file "+ini)
	harness.WriteFile(t, filepath.Join(s.Dir, "Caddyfile"), s.Config(site))

	// Problems of the configured PHP are problems; those of another one are notes.
	phpPoolIn(s, path, "doctor").says(1,
		`(?m)^php-cgi `+sound+` as started by main$`,
		`(?m)^  problem  startup warning: .*Unable to load dynamic library 'no_such_thing'.*\n +→ install it .* or remove it from `+regexp.QuoteMeta(ini)+`$`,
		`(?m)^  note     visitors see PHP's error messages \(display_errors is on\)$`,
		`(?m)^  ok       works as a FastCGI worker: responds \S+ after its start$`,
		`(?m)^  note     .*libxml2\.so\.2.*\(no pool runs it\)\n +→ install the package that has libxml2\.so\.2,`,
		`(?m)^pool main$`, `(?m)^  ok       at most 3 workers$`,
		`(?m)^  note     no Caddy responds at unix/.*admin\.sock`,
		`(?m)^1 problem, \d+ notes$`)

	// Without options, the broken one is used.
	harness.WriteFile(t, filepath.Join(s.Dir, "Caddyfile"), s.Config(harness.PoolSite(harness.SharedLean)))
	phpPoolIn(s, path, "doctor").says(1, `(?m)^php-cgi `+broken+` as started by main\n  problem  .*libxml2\.so\.2`)

	phpPool(s, "doctor", "-v").says(0, `(?m)^ +extensions: .*\bCore\b`, `(?m)^0 problems, `)
	phpPool(s, "doctor", "--json").says(0, `(?s)^\{.*"kind": "php-cgi",.*"problems": 0,`)
}

// TestDoctor_LeavesNoProcesses checks that doctor leaves no process.
func TestDoctor_LeavesNoProcesses(t *testing.T) {
	t.Parallel()
	for _, b := range harness.BothSpawnModes {
		s := harness.Prepare(t, b)
		harness.WriteFile(t, filepath.Join(s.Dir, "Caddyfile"), s.Config(harness.PoolSite(b)))
		k := harness.Supervise(t, s.Command("php-pool", "doctor"))
		if code, ok := k.Wait(harness.MaxWait); !ok || code != 0 {
			t.Errorf("%s: doctor ended with %d, %v:\n%s", b.Name, code, ok, s.Log())
		}
		harness.Eventually(t, func() error {
			if left := k.Processes(); len(left) > 0 {
				return fmt.Errorf("%s: left behind: %v", b.Name, left)
			}
			return nil
		})
	}
}

func TestDoctor_RunningPools(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 2", "quarantine 1 1m 1m"))
	s.Get("/die.php?how=kill")
	phpPool(s, "doctor").says(1, `(?m)^running pool main$`, `(?m)^  ok       PHP \S+, \d workers? of at most 2, \d+ requests? served$`,
		`(?m)^  problem  \S+/die\.php at /die\.php is quarantined until `)
	phpPool(s, "status").says(0, `(?m)^main: \S+/die\.php at /die\.php is quarantined until `, `(?m)^main: \d workers? crashed; the last at .* running GET /die\.php `)
}
