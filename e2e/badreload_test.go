//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// failingLoads are configurations that cannot be activated, what has to be broken for
// that, and what the error must name.
var failingLoads = []struct {
	name   string
	lines  string
	more   string                               // another site
	broken func(*testing.T, *harness.Server)    // undone when t ends
	says   func(s *harness.Server) (all string) // separated by commas
}{
	{name: "an invalid option", lines: "stop_timeout soon", says: says("stop_timeout,soon")},
	{name: "a missing binary", lines: "binary /nowhere/php-cgi", says: says("/nowhere/php-cgi")},
	{
		name: "an ini setting that php-cgi refuses", lines: "ini opcache.memory_consumption 100000000",
		says: says("php-cgi said,Unable to allocate shared memory"),
	},
	{
		name: "a preload script that does not parse", lines: "ini opcache.preload {$DIR}/preload.php\nini opcache.preload_user {$PHP_USER}",
		broken: func(t *testing.T, s *harness.Server) {
			harness.WriteFile(t, filepath.Join(s.Dir, "preload.php"), "<?php\nno PHP\n")
		},
		says: says("PHP Parse error,preload.php"),
	},
	{
		name: "a port in use", more: "http://127.0.0.1:{$PORT2} {\nrespond no\n}\n",
		broken: func(t *testing.T, s *harness.Server) {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port+1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		},
		says: says("address already in use"),
	},
	{
		name: "a full runtime directory", broken: fillRuntimeDir,
		says: func(s *harness.Server) string { return "creating a directory," + runtimeDir(s) },
	},
}

func says(all string) func(*harness.Server) string {
	return func(*harness.Server) string { return all }
}

// runtimeDir is where Caddy keeps the sockets of php-cgi if withRuntimeDir has
// been called.
func runtimeDir(s *harness.Server) string { return filepath.Join(s.Dir, "run") }

// withRuntimeDir gives Caddy its own directory for temporary files.
func withRuntimeDir(s *harness.Server) {
	s.T.Helper()
	if err := os.Mkdir(runtimeDir(s), 0o755); err != nil {
		s.T.Fatal(err)
	}
	if err := os.Chmod(runtimeDir(s), 0o777|os.ModeSticky); err != nil { // for Caddy and PHP
		s.T.Fatal(err)
	}
	s.Options.Env = append(s.Options.Env, "TMPDIR="+runtimeDir(s))
}

// fillRuntimeDir leaves no space in the runtime directory until t ends: by mounting
// a full file system on it, or, without the right to mount, by removing it.
func fillRuntimeDir(t *testing.T, s *harness.Server) {
	t.Helper()
	dir := runtimeDir(s)
	err := syscall.Mount("none", dir, "tmpfs", 0, "nr_inodes=1")
	if err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		return
	}
	if !errors.Is(err, syscall.EPERM) {
		t.Fatal("mounting a file system:", err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Error(err)
		}
	})
}

// TestReload_FailureChangesNothing loads configurations that fail, with another
// size and other settings for PHP. None of these may take effect, whatever the
// order in which Caddy starts its apps.
func TestReload_FailureChangesNothing(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		withRuntimeDir(s)
		s.Options.Env = append(s.Options.Env, "PHP_USER="+harness.PHPUser(t).Username)
		site := func(workers, mark int, lines string) string {
			return harness.TrafficSite(b, "spool_dir {$DIR}", "process_env TMPDIR {$SITE}", "manager static", fmt.Sprint("workers ", workers), fmt.Sprint("ini user_agent ", mark), lines)
		}
		if err := s.Run(site(3, 0, "")); err != nil {
			t.Fatal(err)
		}
		before, processes := s.WaitForked()
		l := s.StartTraffic(checkScript, 4)
		for range harness.Rounds(1) {
			for _, bad := range failingLoads {
				t.Run(bad.name, func(t *testing.T) {
					if bad.broken != nil {
						bad.broken(t, s)
					}
					for _, workers := range []int{1, 4, 40} {
						err := s.Reload(site(workers, 7, bad.lines) + bad.more)
						if err == nil {
							t.Fatal("the configuration was accepted")
						}
						harness.WantMessage(t, err, strings.Split(bad.says(s), ","))
					}
					l.WaitRequests(10)
					s.WantUnchanged(before)
					harness.Eventually(t, func() error {
						if got := fmt.Sprint(s.PHPProcesses()); got != processes {
							return fmt.Errorf("the processes are\n%s\nand were\n%s", got, processes)
						}
						return nil
					})
				})
			}
		}
		l.AllowMark(8)
		s.MustReload(site(4, 8, ""))
		l.RequireMark(8)
		l.Finish()
		s.WaitWorkers(b, 4)
		s.WantNoneFailed()
	})
}
