//go:build linux

package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestTheNextCaddyEndsWhatTheLastOneLeft kills Caddy together with the guardian
// of its workers while one of them computes.
func TestTheNextCaddyEndsWhatTheLastOneLeft(t *testing.T) {
	t.Parallel()
	each(t, spawnOnly, func(t *testing.T, b backend) {
		env, err := exec.LookPath("env")
		if err != nil {
			t.Fatal(err)
		}
		// A directory that no other test's Caddy looks at.
		o := options{under: []string{env, "TMPDIR=" + tempDir(t)}}
		first := start(t, b, plainSite, o)
		first.begin("busy.php")
		for _, p := range first.processes() {
			if strings.Contains(p.args, "php-pool-guardian") {
				kill(t, p.pid, syscall.SIGKILL)
			}
		}
		first.stopped = true
		first.signal(syscall.SIGKILL)
		first.wait(maxWait)

		want := 0
		if b.name == sharedLean.name { // in single mode they are killed when Caddy ends
			want = 1
		}
		var left []process
		eventually(t, func() error {
			if left = first.processes(); len(left) != want {
				return fmt.Errorf("left are %v, want %d", left, want)
			}
			return nil
		})
		second := start(t, b, plainSite, o)
		second.get("/hello.php").want(t, 200, "hello\n")
		eventually(t, func() error {
			if still := first.processes(); len(still) > 0 {
				return fmt.Errorf("still there: %v", still)
			}
			return nil
		})
		got := second.logged("ended php-cgi that an earlier process had left")
		if len(got) != want {
			t.Fatalf("got log entries %v, want %d", got, want)
		}
		for _, entry := range got {
			if pids := fmt.Sprint(entry["pids"]); !slices.ContainsFunc(left, func(p process) bool { return pids == fmt.Sprintf("[%d]", p.pid) }) {
				t.Errorf("ended %s, left was %v", pids, left)
			}
		}
	})
}
