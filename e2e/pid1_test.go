//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestPID1_ReapsZombies runs Caddy as in a container without an init: every
// orphan becomes a child of Caddy, which has to reap it.
func TestPID1_ReapsZombies(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		unshare, err := exec.LookPath("unshare")
		if err != nil {
			t.Fatal("unshare is missing, which util-linux has: ", err)
		}
		under := []string{unshare, "--pid", "--fork", "--mount-proc"}
		if os.Getuid() != 0 {
			under = append(under, "--user", "--map-current-user")
		}
		if out, err := exec.Command(under[0], append(under[1:], "true")...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s: run this as root, or allow everybody to make user namespaces "+
				"(on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0)", under, err, out)
		}
		s := harness.Start(t, b, harness.PoolSite(b, "manager static", "workers 3", "quarantine off"), harness.Options{Wrapper: under})
		s.Stopped = true // by caddy stop, below: unshare does not forward signals
		harness.WriteFile(t, filepath.Join(s.Site, "background.php"), `<?php
			exec('(sleep 0.05 &) >/dev/null 2>&1');
			exec('(setsid sleep 0.05 &) >/dev/null 2>&1');
			echo 'started';`)

		s.Get("/background.php").Want(t, 200, "started")
		waitZombies(s, "those of the script", func(n int) bool { return n >= 2 })
		for _, p := range slices.Concat(s.Masters(), s.WorkerProcesses()) {
			harness.Kill(t, p.PID, syscall.SIGKILL)
		}
		s.WaitPool("whole again", func(p harness.PoolStatus) bool {
			return p.Exits["crashed"]+p.Exits["recycled"] >= 3 && p.Workers.Idle == 3 // depends on whether their exit or that of their master is noticed first
		})
		for range 3 {
			s.Get("/background.php").Want(t, 200, "started")
		}
		waitZombies(s, "none", func(n int) bool { return n == 0 })
		s.Get("/hello.php").Want(t, 200, "hello\n")
		if s.HasLogged(syscall.ECHILD.Error()) {
			t.Error("a process was reaped by another goroutine than the one that waits for it")
		}

		stop := harness.Supervise(t, s.Command("stop", "--address", "unix/"+filepath.Join(s.Dir, "admin.sock")))
		if code, ok := stop.Wait(harness.MaxWait); code != 0 || !ok {
			t.Errorf("caddy stop: got code %d, ended %t", code, ok)
		}
		s.WaitGone()
		if s.ExitCode != 0 {
			t.Errorf("caddy ended with code %d", s.ExitCode)
		}
	})
}

// waitZombies waits until the number of zombies satisfies a condition.
func waitZombies(s *harness.Server, what string, is func(n int) bool) {
	s.T.Helper()
	harness.Eventually(s.T, func() error {
		var found []string
		for _, p := range s.Processes() {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
			if err == nil && strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " Z") {
				found = append(found, string(stat))
			}
		}
		if !is(len(found)) {
			return fmt.Errorf("the zombies are not %s: %q", what, found)
		}
		return nil
	})
}
