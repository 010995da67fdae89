package phpbin_test

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// watchdogs returns the watchdogs in a process group.
func watchdogs(pgid int) (list []int) {
	for _, pid := range group(pgid) {
		command, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if strings.Contains(string(command), "php-pool-watchdog") {
			list = append(list, pid)
		}
	}
	return list
}

// TestWatchdog_Replaced kills the watchdog alone, twice, which is noticed.
func TestWatchdog_Replaced(t *testing.T) {
	forKindsAndUsers(t, func(t *testing.T, kind string, o phpbin.Options) {
		t.Helper()
		var notices atomic.Int64
		o.Notice = func(message string, err error) {
			if message != "the watchdog of php-cgi was killed and has been replaced" {
				t.Errorf("got the notice %q, %v", message, err)
			}
			notices.Add(1)
		}
		l := startLauncher(t, kind, o)
		p := mustLaunch(t, l)
		pgid := groupOf(t, p.PID())
		for n := int64(1); n <= 2; n++ {
			before := watchdogs(pgid)
			if len(before) != 1 {
				t.Fatalf("got the watchdogs %v, want one", before)
			}
			if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, waitLimit, "replaced", func() bool {
				return notices.Load() == n && len(watchdogs(pgid)) == 1 && !slices.Equal(watchdogs(pgid), before)
			})
		}
		eventually(t, waitLimit, "reaped", func() bool {
			return len(processes(func(f []string) bool { return f[2] == strconv.Itoa(pgid) && f[0] == "Z" })) == 0
		})
	})
}

// ignoresTerm reports whether a watchdog is ready: it outlives the TERM that php-cgi's
// master sends to its whole group when this process dies.
func ignoresTerm(pid int) bool {
	status, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, line, _ := strings.Cut(string(status), "SigIgn:")
	mask, _, _ := strings.Cut(strings.TrimSpace(line), "\n")
	signals, err := strconv.ParseUint(mask, 16, 64)
	return err == nil && signals&(1<<(syscall.SIGTERM-1)) != 0
}

// TestWatchdog_ReplacementKills kills the watchdog and then, when it was replaced, the
// process that has started php-cgi.
func TestWatchdog_ReplacementKills(t *testing.T) {
	for _, kind := range []string{"shared", "single"} {
		t.Run(kind, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			groups := groupsOf(t, startHelper(t, cmd, kind+" "+strconv.Itoa(os.Getuid())+" "+worldWritableDir(t)))
			for _, pgid := range groups {
				old := watchdogs(pgid)
				for _, pid := range old {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, waitLimit, "replaced", func() bool {
					now := watchdogs(pgid)
					return len(now) == 1 && !slices.Equal(now, old) && ignoresTerm(now[0])
				})
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for _, pgid := range groups {
				eventually(t, promptLimit, "gone", func() bool { return len(group(pgid)) == 0 })
			}
		})
	}
}
