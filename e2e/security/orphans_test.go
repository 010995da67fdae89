//go:build linux

package security

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestOrphans_KilledAtNextStart kills Caddy and the watchdog of its workers while
// one of them computes.
func TestOrphans_KilledAtNextStart(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		env, err := exec.LookPath("env")
		if err != nil {
			t.Fatal(err)
		}
		// A runtime directory that no other test uses.
		temp := harness.TempDir(t)
		if err := os.Chmod(temp, 0o777|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
		o := harness.Options{Wrapper: []string{env, "TMPDIR=" + temp}}
		first := harness.Start(t, b, harness.PlainSite, o)
		first.StartBlocked("busy.php")
		first.Signal(syscall.SIGSTOP) // or it would replace the watchdog
		harness.Eventually(t, func() error {
			if state := harness.State(first.PID); state != 'T' {
				return fmt.Errorf("caddy is in the state %c", state)
			}
			return nil
		})
		for _, p := range first.Processes() {
			if strings.Contains(p.Args, "php-pool-watchdog") {
				harness.Kill(t, p.PID, syscall.SIGKILL)
			}
		}
		first.Stopped = true
		first.Signal(syscall.SIGKILL)
		first.Wait(harness.MaxWait)

		want := 0
		if b.Name == harness.SharedLean.Name { // in single mode the kernel kills them when Caddy exits
			want = 1
		}
		var left []harness.Process
		harness.Eventually(t, func() error {
			if left = first.Processes(); len(left) != want {
				return fmt.Errorf("remaining processes: %v, want %d", left, want)
			}
			return nil
		})
		second := harness.Start(t, b, harness.PlainSite, o)
		second.Get("/hello.php").Want(t, 200, "hello\n")
		harness.Eventually(t, func() error {
			if still := first.Processes(); len(still) > 0 {
				return fmt.Errorf("still there: %v", still)
			}
			return nil
		})
		got := second.Logged("killed orphaned php-cgi processes")
		if len(got) != want {
			t.Fatalf("got log entries %v, want %d", got, want)
		}
		for _, entry := range got {
			if pids := fmt.Sprint(entry["pids"]); !slices.ContainsFunc(left, func(p harness.Process) bool { return pids == fmt.Sprintf("[%d]", p.PID) }) {
				t.Errorf("killed %s, remaining were %v", pids, left)
			}
		}
	})
}
