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
)

// TestCaddyIsProcess1 is a container without an init: every process that loses
// its parent becomes a child of Caddy, which has to reap it.
func TestCaddyIsProcess1(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
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
		s := start(t, b, poolSite(b, "manager static", "workers 3", "quarantine off"), options{under: under})
		s.stopped = true // by caddy stop, below: unshare does not pass a signal on
		writeFile(t, filepath.Join(s.site, "background.php"), `<?php
			exec('(sleep 0.05 &) >/dev/null 2>&1');
			exec('(setsid sleep 0.05 &) >/dev/null 2>&1');
			echo 'started';`)

		s.get("/background.php").want(t, 200, "started")
		zombiesBecome(s, "those of the script", func(n int) bool { return n >= 2 })
		for _, p := range slices.Concat(s.masters(), s.workers()) {
			kill(t, p.pid, syscall.SIGKILL)
		}
		s.poolBecomes("whole again", func(p poolStatus) bool {
			return p.Exits["crashed"]+p.Exits["recycled"] >= 3 && p.Workers.Idle == 3 // what is seen first: their end, or their master's
		})
		for range 3 {
			s.get("/background.php").want(t, 200, "started")
		}
		zombiesBecome(s, "none", func(n int) bool { return n == 0 })
		s.get("/hello.php").want(t, 200, "hello\n")
		if s.hasLogged(syscall.ECHILD.Error()) {
			t.Error("the end of a process was kept from who waits for it")
		}

		stop := keep(t, s.command("stop", "--address", "unix/"+filepath.Join(s.dir, "admin.sock")))
		if code, ok := stop.wait(maxWait); code != 0 || !ok {
			t.Errorf("caddy stop: got code %d, ended %t", code, ok)
		}
		s.gone()
		if s.code != 0 {
			t.Errorf("caddy ended with code %d", s.code)
		}
	})
}

// zombiesBecome waits until their number is as wanted.
func zombiesBecome(s *server, what string, is func(n int) bool) {
	s.t.Helper()
	eventually(s.t, func() error {
		var found []string
		for _, p := range s.processes() {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
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
