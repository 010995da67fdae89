//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// stopWorker is a worker script that waits or computes without an end, when the request says so.
const stopWorker = `<?php
while (frankenphp_handle_request(function () {
	if (isset($_GET['do'])) { touch(__DIR__ . '/' . $_GET['do']); set_time_limit(0); }
	while (($_GET['do'] ?? '') === 'busy') {}
	while (($_GET['do'] ?? '') === 'wait') { sleep(100); }
	echo 'hello';
})) {}`

// TestStop_LeavesNoProcesses stops Caddy in every way, with idle workers, with a worker
// that waits, and with one that computes.
func TestStop_LeavesNoProcesses(t *testing.T) {
	t.Parallel()
	signals := map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGKILL": syscall.SIGKILL}
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		for name, sig := range signals {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := harness.Start(t, b, harness.PlainSite, harness.Options{Workers: 3})
				s.Get("/hello.php").Want(t, 200, "hello\n")
				s.WaitWorkerProcesses(3)
				s.Stop(sig)
			})
		}
		t.Run("caddy stop", func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, b, harness.PlainSite)
			s.Get("/hello.php").Want(t, 200, "hello\n")
			caddyStop := harness.Supervise(t, s.Command("stop", "--address", "unix/"+filepath.Join(s.Dir, "admin.sock")))
			if code, ok := caddyStop.Wait(harness.MaxWait); code != 0 || !ok {
				t.Errorf("caddy stop: got code %d, ended %t", code, ok)
			}
			s.Stopped = true
			s.WaitGone()
		})
		for name, sig := range signals {
			t.Run(name+" with worker scripts", func(t *testing.T) {
				t.Parallel()
				s := startWorker(t, b, workerSite(b, "num 3"), map[string]string{"index.php": stopWorker, "plain.php": "plain"})
				s.Get("/").Want(t, 200, "hello")
				s.Get("/plain.php").Want(t, 200, "plain")
				if sig == syscall.SIGKILL {
					// Caddy waits for them otherwise.
					for _, do := range []string{"wait", "busy"} {
						go s.Client.Get(s.URL + "/?do=" + do)
						harness.Eventually(t, func() error {
							_, err := os.Stat(filepath.Join(s.Site, do))
							return err
						})
					}
				}
				if n := len(s.PHPProcesses()); n < 4 {
					t.Errorf("only %d processes of PHP run", n)
				}
				s.Stop(sig)
			})
		}
		for _, script := range []string{"wait.php", "busy.php"} {
			for _, name := range []string{"SIGTERM", "SIGKILL"} {
				t.Run(name+" during "+script, func(t *testing.T) {
					t.Parallel()
					s := harness.Start(t, b, harness.PlainSite)
					s.StartBlocked(script)
					s.Stop(signals[name])
				})
			}
		}
	})
}

// TestStop_WaitsForRunningRequest lets a script finish after Caddy was stopped.
func TestStop_WaitsForRunningRequest(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite)
		response := s.StartBlocked("wait.php")
		s.Signal(syscall.SIGTERM)
		s.Stopped = true
		harness.Eventually(t, func() error {
			if !s.HasLogged("shutting down") {
				return errNoEntry
			}
			return nil
		})
		s.Unblock()
		harness.WantUnblocked(t, response)
		s.WaitGone()
	})
}

// TestConfig_Validate runs caddy validate as nobody: it may run php-cgi for its version,
// but starts no worker.
func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		starts := filepath.Join(s.Dir, "starts")
		harness.WriteFile(t, starts, "")
		if err := os.Chmod(starts, 0o666); err != nil {
			t.Fatal(err)
		}
		// A worker has -b among its arguments.
		wrapper := filepath.Join(s.Dir, "php-cgi")
		harness.WriteFile(t, wrapper, "#!/bin/sh\necho \"$*\" >>"+starts+"\nexec php-cgi \"$@\"\n")
		if err := os.Chmod(wrapper, 0o755); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(s.Dir, "Caddyfile")
		harness.WriteFile(t, config, s.Config(strings.Replace(harness.PlainSite, "capture_stderr", "binary "+wrapper, 1)))

		c := s.Command("validate", "--config", config)
		c.Log = filepath.Join(s.Dir, "validate.log")
		c.Env = append(c.Env, "HOME=/nonexistent")
		if os.Getuid() == 0 {
			c.UID = 65534
			if err := os.Chmod(s.Home, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{"data", "config"} { // Caddy writes to them
				if err := os.Mkdir(filepath.Join(s.Home, dir), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(s.Home, dir), 0o777); err != nil {
					t.Fatal(err)
				}
			}
		}
		k := harness.Supervise(t, c)
		if code, ok := k.Wait(harness.MaxWait); code != 0 || !ok {
			t.Errorf("caddy validate: got code %d, ended %t:\n%s", code, ok, harness.ReadFile(t, c.Log))
		}
		if left := k.Processes(); len(left) > 0 {
			t.Errorf("caddy validate left %v", left)
		}
		if got := harness.ReadFile(t, starts); strings.Contains(got, " -b ") {
			t.Errorf("caddy validate started a worker: %s", got)
		}
	})
}

// TestStop_RemovedPoolTimeout stops Caddy while a request runs in a pool that the
// current config does not have.
func TestStop_RemovedPoolTimeout(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "workers 1", "stop_timeout 1s"))
	s.StartBlocked("wait.php")
	renamed := strings.Replace(harness.PoolSite(harness.SharedLean, "workers 1", "stop_timeout 1s"), "name main", "name other", 1)
	if err := s.Reload(renamed); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s.Stop(syscall.SIGTERM)
	if elapsed := time.Since(start); elapsed > 30*time.Second {
		t.Errorf("stopping took %v with stop_timeout 1s", elapsed)
	}
}
