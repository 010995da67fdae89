//go:build linux

package security

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// gone waits until the process does not run any more.
func gone(s *harness.Server, pid int, what string) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		if slices.ContainsFunc(s.Processes(), func(p harness.Process) bool { return p.PID == pid && p.Args != "" }) {
			return fmt.Errorf("%s still runs: process %d", what, pid)
		}
		return nil
	})
}

// TestGroup_WorkerLeaves has a script move its worker to another session, where the
// watchdog does not reach it, and then kills Caddy.
func TestGroup_WorkerLeaves(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite)
		for name, code := range map[string]string{
			"setsid":  `posix_setsid() > 0`,
			"setpgid": `posix_setpgid(0, 0)`,
		} {
			harness.WriteFile(t, s.Site+"/"+name+".php", "<?php echo "+code+" ? getmypid() : 'failed';")
			res := s.Get("/" + name + ".php")
			res.Want(t, http.StatusOK, "")
			pid, err := strconv.Atoi(res.Text)
			if err != nil {
				t.Fatalf("%s: got %q", name, res.Text)
			}
			gone(s, pid, "the worker")
			s.Get("/hello.php").Want(t, http.StatusOK, "hello\n")
		}
		if n := len(s.Logged("a script has moved its worker to another process group: replacing the worker")); n != 2 {
			t.Errorf("got %d log entries, want 2", n)
		}
		s.Stopped = true
		s.Signal(syscall.SIGKILL)
		s.Wait(harness.MaxWait)
		harness.Eventually(t, func() error {
			if left := s.Processes(); len(left) > 0 {
				return fmt.Errorf("still there: %v", left)
			}
			return nil
		})
	})
}

// TestGroup_CopyLeaves has a script fork a copy of its worker in another session. The
// copy, which could accept connections, must not outlive a clean stop.
func TestGroup_CopyLeaves(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, harness.Options{INI: [][2]string{{"disable_functions", ""}}})
		harness.WriteFile(t, s.Site+"/copy.php", `<?php
			$pid = pcntl_fork();
			if ($pid === 0) {
				posix_setsid();
				touch(__DIR__ . '/left');
				while (true) sleep(1);
			}
			while (!file_exists(__DIR__ . '/left')) { usleep(1000); clearstatcache(); }
			echo $pid;`)
		res := s.Get("/copy.php")
		res.Want(t, http.StatusOK, "")
		pid, err := strconv.Atoi(strings.TrimSpace(res.Text))
		if err != nil {
			t.Fatalf("got %q", res.Text)
		}
		if !slices.ContainsFunc(s.Processes(), func(p harness.Process) bool { return p.PID == pid }) {
			t.Fatal("the copy does not run")
		}
		s.Stop(syscall.SIGTERM) // checks that no process is left
	})
}

// TestGroup_WatchdogKilled kills the watchdog, as a script of Caddy's own user can, and
// then Caddy while a script computes.
func TestGroup_WatchdogKilled(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite)
		s.StartBlocked("busy.php")
		watchdogs := func() (list []int) {
			for _, p := range s.Processes() {
				if strings.Contains(p.Args, "php-pool-watchdog") {
					list = append(list, p.PID)
				}
			}
			return list
		}
		old := watchdogs()
		if len(old) != 1 {
			t.Fatalf("got the watchdogs %v, want one", old)
		}
		harness.Kill(t, old[0], syscall.SIGKILL)
		harness.Eventually(t, func() error {
			if now := watchdogs(); len(now) != 1 || now[0] == old[0] || len(s.Logged("the watchdog of php-cgi was killed and has been replaced")) != 1 {
				return fmt.Errorf("not replaced: %v", now)
			}
			return nil
		})
		s.Stopped = true
		s.Signal(syscall.SIGKILL)
		s.Wait(harness.MaxWait)
		harness.Eventually(t, func() error {
			if left := s.Processes(); len(left) > 0 {
				return fmt.Errorf("still there: %v", left)
			}
			return nil
		})
	})
}
