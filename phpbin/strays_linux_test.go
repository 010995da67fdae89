package phpbin_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// writtenPID waits until a script has written its pid to the file.
func writtenPID(t *testing.T, file string) (pid int) {
	t.Helper()
	eventually(t, waitLimit, "written by the script", func() bool {
		text, _ := os.ReadFile(file)
		pid, _ = strconv.Atoi(string(text))
		return pid > 0
	})
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return pid
}

// TestClose_KillsStrays closes a launcher whose scripts have moved to other sessions: a
// worker that computes, an idle one, and a copy that a script has forked.
func TestClose_KillsStrays(t *testing.T) {
	forKindsAndUsers(t, func(t *testing.T, kind string, o phpbin.Options) {
		t.Helper()
		o.INI = enablePCNTL
		l := startLauncher(t, kind, o)
		dir := worldWritableDir(t)
		file := func(name string) string { return filepath.Join(dir, name) }
		idle, copied, busy := mustLaunch(t, l), mustLaunch(t, l), mustLaunch(t, l)
		if idle.LeftGroup() {
			t.Error("a new worker has left its group")
		}
		run(t, idle, "setsid.php", url.Values{"file": {file("idle")}})
		if !idle.LeftGroup() || copied.LeftGroup() {
			t.Errorf("left the group: got %t and %t, want true and false", idle.LeftGroup(), copied.LeftGroup())
		}
		run(t, copied, "setsid.php", url.Values{"file": {file("copy")}, "copy": {"1"}})
		script, err := filepath.Abs("testdata/setsid.php")
		if err != nil {
			t.Fatal(err)
		}
		if err := sendPath(busy.Conn(), script, url.Values{"file": {file("busy")}, "spin": {"1"}}); err != nil {
			t.Fatal(err)
		}
		pids := []int{writtenPID(t, file("idle")), writtenPID(t, file("copy")), writtenPID(t, file("busy"))}
		if n := len(running(pids)); n != 3 {
			t.Fatalf("%d of 3 processes run", n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
		if left := running(pids); len(left) > 0 {
			t.Errorf("still running: %v of %v", left, pids)
		}
	})
}
