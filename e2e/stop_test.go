//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNothingIsLeftBehind ends Caddy in every way, with idle workers, with one
// that waits, and with one that only computes.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	signals := map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGKILL": syscall.SIGKILL}
	each(t, spawnOnly, func(t *testing.T, b backend) {
		for name, sig := range signals {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := start(t, b, plainSite, options{workers: 3})
				s.get("/hello.php").want(t, 200, "hello\n")
				s.wantWorkers(3)
				s.stop(sig)
			})
		}
		t.Run("caddy stop", func(t *testing.T) {
			t.Parallel()
			s := start(t, b, plainSite)
			s.get("/hello.php").want(t, 200, "hello\n")
			caddyStop := keep(t, s.command("stop", "--address", "unix/"+filepath.Join(s.dir, "admin.sock")))
			if code, ok := caddyStop.wait(maxWait); code != 0 || !ok {
				t.Errorf("caddy stop: got code %d, ended %t", code, ok)
			}
			s.stopped = true
			s.gone()
		})
		for _, script := range []string{"wait.php", "busy.php"} {
			for _, name := range []string{"SIGTERM", "SIGKILL"} {
				t.Run(name+" during "+script, func(t *testing.T) {
					t.Parallel()
					s := start(t, b, plainSite)
					s.begin(script)
					s.stop(signals[name])
				})
			}
		}
	})
}

// TestARunningRequestEndsBeforeCaddyStops lets a script finish while Caddy is
// already told to stop.
func TestARunningRequestEndsBeforeCaddyStops(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		s := start(t, b, plainSite)
		answer := s.begin("wait.php")
		s.signal(syscall.SIGTERM)
		s.stopped = true
		eventually(t, func() error {
			if !s.hasLogged("shutting down") {
				return errNoEntry
			}
			return nil
		})
		s.let()
		wantWaited(t, answer)
		s.gone()
	})
}

// TestValidate runs caddy validate as nobody: it may look at php-cgi, and
// starts no worker.
func TestValidate(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		s := prepare(t, b)
		starts := filepath.Join(s.dir, "starts")
		writeFile(t, starts, "")
		if err := os.Chmod(starts, 0o666); err != nil {
			t.Fatal(err)
		}
		// A worker has a socket as its standard input.
		wrapper := filepath.Join(s.dir, "php-cgi")
		writeFile(t, wrapper, "#!/bin/sh\necho \"$(readlink /proc/$$/fd/0) $*\" >>"+starts+"\nexec php-cgi \"$@\"\n")
		if err := os.Chmod(wrapper, 0o755); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(s.dir, "Caddyfile")
		writeFile(t, config, s.config(strings.Replace(plainSite, "capture_stderr", "binary "+wrapper, 1)))

		c := s.command("validate", "--config", config)
		c.Log = filepath.Join(s.dir, "validate.log")
		c.Env = append(c.Env, "HOME=/nonexistent")
		if os.Getuid() == 0 {
			c.UID = 65534
			for _, dir := range []string{"data", "config"} { // Caddy keeps files there
				if err := os.Mkdir(filepath.Join(s.dir, dir), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(s.dir, dir), 0o777); err != nil {
					t.Fatal(err)
				}
			}
		}
		k := keep(t, c)
		if code, ok := k.wait(maxWait); code != 0 || !ok {
			t.Errorf("caddy validate: got code %d, ended %t:\n%s", code, ok, readFile(t, c.Log))
		}
		if left := k.processes(); len(left) > 0 {
			t.Errorf("caddy validate left %v", left)
		}
		if got := readFile(t, starts); strings.Contains(got, "socket:") {
			t.Errorf("caddy validate started a worker: %s", got)
		}
	})
}

// TestAPoolOfAnEarlierConfigHasNoMoreTimeThanOthers stops Caddy while a request
// runs in a pool that no config uses any more.
func TestAPoolOfAnEarlierConfigHasNoMoreTimeThanOthers(t *testing.T) {
	t.Parallel()
	s := start(t, sharedLean, poolSite(sharedLean, "workers 1", "stop_timeout 1s"))
	s.begin("wait.php")
	renamed := strings.Replace(poolSite(sharedLean, "workers 1", "stop_timeout 1s"), "name main", "name other", 1)
	if err := s.reload(renamed); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.stop(syscall.SIGTERM)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("stopping took %v with stop_timeout 1s", took)
	}
}
