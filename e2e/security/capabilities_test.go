//go:build linux

package security

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// capable are the options of a Caddy that is not root, with the capabilities for `user`.
var capable = harness.Options{RunAs: harness.AsCapable}

// prepareCapable prepares a server with the scripts that show what a worker is.
func prepareCapable(t *testing.T, b harness.Backend, o harness.Options) *harness.Server {
	t.Helper()
	needsRoot(t)
	s := harness.Prepare(t, b, o)
	harness.CopyTree(t, s.Site, "testdata/customer")
	harness.ChownToPHP(t, s.Site)
	return s
}

// TestCapabilities_PHPHasNone runs PHP as another user, by capabilities, through a
// replaced worker and a reload.
func TestCapabilities_PHPHasNone(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := prepareCapable(t, b, capable)
		if err := s.Run(harness.PoolSite(b, "workers 1")); err != nil { // www-data, as under root
			t.Fatal(err)
		}
		if got := status(t, s.PID)["CapEff"]; got != fmt.Sprintf("%016x", 1<<unix.CAP_SETUID|1<<unix.CAP_SETGID|1<<unix.CAP_KILL) {
			t.Fatalf("Caddy has the capabilities %s", got)
		}
		check := func(name string) {
			t.Helper()
			uid, gid := ids(t, name)
			var state map[string]string
			customer{Server: s}.query("state.php", nil, &state)
			wantNoCapabilities(t, state)
			want := map[string]string{"Uid": strconv.Itoa(uid), "Gid": strconv.Itoa(gid)}
			for field, id := range want {
				if all := strings.Fields(state[field]); !slices.Equal(all, []string{id, id, id, id}) {
					t.Errorf("PHP has the %s %v, want %s", field, all, id)
				}
			}
			if groups := strings.Fields(state["Groups"]); slices.Contains(groups, "0") || slices.Contains(groups, strconv.Itoa(harness.CapableUID)) {
				t.Errorf("PHP is in the groups %v", groups)
			}
			score, err := strconv.Atoi(strings.TrimSpace(harness.ReadFile(t, fmt.Sprintf("/proc/%d/oom_score_adj", s.PID))))
			if err != nil || state["oom_score_adj"] != strconv.Itoa(min(score+500, 1000)) || state["core"] != "0 0" {
				t.Errorf("PHP has oom_score_adj %s and core %q", state["oom_score_adj"], state["core"])
			}
		}
		check("www-data")
		s.Admin("DELETE", fmt.Sprintf("/php_pool/pools/main/workers/%d", s.Pool().List[0].ID), "")
		check("www-data")
		s.MustReload(harness.PoolSite(b, "workers 1", "user nobody"))
		check("nobody")
		if s.HasLogged("PHP runs as the same user as Caddy") {
			t.Error("got the warning about Caddy's own user")
		}
		// It may not do anything to Caddy.
		var done map[string]any
		customer{Server: s}.query("neighbour.php", map[string][]string{"pid": {strconv.Itoa(s.PID)}, "dir": {s.Dir}, "file[log]": {s.Site + "/state.php"}}, &done)
		for _, what := range []string{"writes", "opens environ", "opens mem", "opens maps", "sees descriptors", "enters its root", "signals"} {
			if done[what] != false {
				t.Errorf("PHP and Caddy: %s: %v", what, done[what])
			}
		}
	})
}

// TestCapabilities_OneMissing starts Caddy without one of the capabilities: it is
// refused with the drop-in to write, and nothing was started.
func TestCapabilities_OneMissing(t *testing.T) {
	t.Parallel()
	names := map[uintptr]string{unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SETGID: "CAP_SETGID", unix.CAP_KILL: "CAP_KILL"}
	for missing, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := capable
			o.Ambient = slices.DeleteFunc(slices.Clone(harness.UserCapabilities), func(c uintptr) bool { return c == missing })
			s := prepareCapable(t, harness.SharedLean, o)
			err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1", "user www-data"))
			if err == nil {
				t.Fatal("it was accepted")
			}
			harness.WantMessage(t, err, []string{
				"user www-data", "lacks " + name + ",", "systemctl edit caddy",
				"[Service]", "AmbientCapabilities=CAP_SETUID CAP_SETGID CAP_KILL", "remove user",
			})
			// Without user it is a Caddy like any other.
			second := prepareCapable(t, harness.SharedLean, o)
			harness.Chown(t, second.Site, harness.CapableUID, harness.CapableUID)
			if err := second.Run(harness.PoolSite(harness.SharedLean, "workers 1")); err != nil {
				t.Fatal(err)
			}
			var state map[string]string
			customer{Server: second}.query("state.php", nil, &state)
			wantNoCapabilities(t, state)
			if got := strings.Fields(state["Uid"])[0]; got != strconv.Itoa(harness.CapableUID) {
				t.Errorf("PHP runs as %s", got)
			}
		})
	}
}

// TestCapabilities_EndlessLoop stops and kills Caddy while a script computes, which does
// not notice SIGTERM: nothing is left of it.
func TestCapabilities_EndlessLoop(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			s := prepareCapable(t, b, capable)
			if err := s.Run(harness.PoolSite(b, "workers 2", "stop_timeout 200ms", "request_timeout 1h")); err != nil {
				t.Fatal(err)
			}
			s.StartBlocked("busy.php")
			s.Stop(sig) // which checks that nothing is left
		}
	})
}

// TestCapabilities_Timeout ends scripts that compute, and those that are disconnected.
func TestCapabilities_Timeout(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := prepareCapable(t, b, capable)
		harness.WriteFile(t, filepath.Join(s.Site, "forever.php"), "<?php\nfunction forever() { while (true) { hash('sha256', 'x'); } }\nforever();\n")
		if err := s.Run(harness.PoolSite(b, "workers 1", "request_timeout 2s", "slow_request 300ms")); err != nil {
			t.Fatal(err)
		}
		res := s.Get("/forever.php")
		if res.StatusCode != 504 && res.StatusCode != 500 {
			t.Errorf("got %s, want a time-out", res.Status)
		}
		slow := s.WaitLogged("slow request", 1)
		if trace := fmt.Sprint(slow["backtrace"]); !strings.Contains(trace, "forever "+s.Site+"/forever.php:2") {
			t.Errorf("got the backtrace %s", trace)
		}
		s.Get("/hello.php").Want(t, 200, "hello\n")
		s.WaitPool("the memory of the worker", func(p harness.PoolStatus) bool {
			return len(p.List) == 1 && p.List[0].Memory > 0
		})
	})
}

// TestCapabilities_WorkerMode runs a worker script as another user.
func TestCapabilities_WorkerMode(t *testing.T) {
	t.Parallel()
	s := prepareCapable(t, harness.SharedLean, capable)
	harness.WriteFile(t, filepath.Join(s.Site, "worker.php"), `<?php
		$n = 0;
		error_log('the worker has begun');
		while (frankenphp_handle_request(function () use (&$n) {
			echo ++$n, ' ', posix_getuid(), ' ', preg_match('/^CapPrm:\s+0+$/m', file_get_contents('/proc/self/status'));
		})) {}
	`)
	uid, _ := ids(t, "www-data")
	err := s.Run("http://127.0.0.1:{$PORT} {\nroot {$SITE}\nphp_pool {\nname plain\nworkers 1\nworker worker.php {\nname main\n}\n}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		s.Get("/worker.php").Want(t, 200, fmt.Sprintf("%d %d 1", n, uid))
	}
	if !s.HasLogged("the worker has begun") {
		t.Error("the error log of the worker script is lost")
	}
}

// TestCapabilities_Isolate gives PHP its private directory without CAP_CHOWN.
func TestCapabilities_Isolate(t *testing.T) {
	t.Parallel()
	o := capable
	needsRoot(t)
	s := prepareCapable(t, harness.SharedLean, o)
	s.Options.Env = []string{"STATE_DIRECTORY=" + stateDir(s)}
	harness.WriteFile(t, filepath.Join(s.Site, "private.php"), `<?php
		session_start();
		$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
		$name = tempnam(sys_get_temp_dir(), 'x');
		echo $_SESSION['n'], ' ', dirname($name) === ini_get('sys_temp_dir') ? 'private' : $name;
		unlink($name);
	`)
	if err := s.Run(harness.PoolSite(harness.SharedLean, "workers 1", "root {$SITE}", "isolate")); err != nil {
		t.Fatal(err)
	}
	res := s.Get("/private.php")
	res.Want(t, 200, "1 private")
	cookie, _, _ := strings.Cut(res.Header.Get("Set-Cookie"), ";")
	s.Do(s.Request("GET", "/private.php", nil, "Cookie: "+cookie)).Want(t, 200, "2 private")
	uid, _ := ids(t, "www-data")
	for _, name := range []string{"tmp", "sessions"} {
		dir := fmt.Sprintf("%s/php_pool/main@%d/%s", stateDir(s), uid, name)
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o007 != 0 {
			t.Errorf("%s has mode %v", dir, mode)
		}
	}
}
