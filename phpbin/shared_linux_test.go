package phpbin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestShared_ParallelLaunches(t *testing.T) {
	o := options(t)
	o.Slots = 64
	l := startLauncher(t, "shared", o)
	var mu sync.Mutex
	workers := map[int]*phpbin.Process{}
	var all sync.WaitGroup
	for range o.Slots {
		all.Go(func() {
			p, err := l.Launch(testContext(t))
			if err != nil {
				t.Errorf("Launch: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			workers[p.PID()] = p
		})
	}
	all.Wait()
	if len(workers) != o.Slots {
		t.Fatalf("got %d different workers, want %d", len(workers), o.Slots)
	}
	for pid, p := range workers {
		if got := run(t, p, "pid.php", nil); got != strconv.Itoa(pid) {
			t.Errorf("the script reports pid %s, want %d", got, pid)
		}
	}
}

func TestShared_OneOPcache(t *testing.T) {
	o := options(t)
	o.INI = []phpbin.Setting{{Name: "opcache.file_update_protection", Value: "0"}}
	l := startLauncher(t, "shared", o)
	hits := -1
	pids := map[int]bool{}
	for i := range 4 {
		var got struct{ PID, Hits int }
		if err := json.Unmarshal([]byte(run(t, mustLaunch(t, l), "opcache.php", nil)), &got); err != nil {
			t.Fatal(err)
		}
		pids[got.PID] = true
		if got.Hits < hits || i > 0 && got.Hits < i {
			t.Errorf("worker %d: got %d hits, the one before %d", i, got.Hits, hits)
		}
		hits = got.Hits
	}
	if len(pids) != 4 {
		t.Errorf("got %d different workers, want 4", len(pids))
	}
}

func TestShared_MasterExit(t *testing.T) {
	l := startLauncher(t, "shared", options(t))
	idle, busyOne := mustLaunch(t, l), mustLaunch(t, l)
	startBusy(t, busyOne, "sleep.php", url.Values{"ms": {"300"}})
	pgid := groupOf(t, idle.PID())
	eventually(t, waitLimit, "all children forked", func() bool { return len(group(pgid)) > 4 })
	if err := l.Err(); err != nil {
		t.Errorf("Err while the master runs: %v", err)
	}
	if err := syscall.Kill(l.MasterPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, promptLimit, "done", l.Done())
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Err: got %v, want signal: killed", err)
	}
	var startErr *phpbin.StartError
	if p, err := l.Launch(testContext(t)); !errors.As(err, &startErr) || p != nil {
		t.Errorf("Launch: got %v, %v, want a *StartError", p, err)
	}
	// Its children serve until their connections are closed.
	if _, body, err := receive(busyOne.Conn()); err != nil || body != strconv.Itoa(busyOne.PID()) {
		t.Errorf("the running request: got %q, %v", body, err)
	}
	if got := run(t, idle, "pid.php", nil); got != strconv.Itoa(idle.PID()) {
		t.Errorf("the script reports pid %s, want %d", got, idle.PID())
	}
	if len(group(pgid)) < 4 {
		t.Errorf("before Close: got processes %v, want 4 at least", group(pgid))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if left := group(pgid); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// The copy that a script has forked of its worker accepts connections on the same
// socket.
func TestDrain_ForkedCopy(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots, o.INI = 1, enablePCNTL
			l := startLauncher(t, kind, o)
			p := mustLaunch(t, l)
			file := filepath.Join(t.TempDir(), "copy")
			if got := run(t, p, "fork.php", url.Values{"file": {file}}); got == "" {
				t.Fatal("no response")
			}
			var copied int
			eventually(t, waitLimit, "copied", func() bool {
				data, _ := os.ReadFile(file)
				copied, _ = strconv.Atoi(string(data))
				return copied != 0
			})
			// Both read from the same connection; when it is closed, both accept.
			for range 3 {
				q, err := p.Drain(testContext(t))
				if err != nil {
					t.Fatalf("Drain: %v", err)
				}
				if q.PID() == copied {
					t.Fatalf("Drain returned the copy %d", copied)
				}
				p = q
				if got := run(t, p, "pid.php", nil); got != strconv.Itoa(p.PID()) {
					t.Errorf("the script reports pid %s, want %d", got, p.PID())
				}
			}
		})
	}
}

func TestStartError(t *testing.T) {
	broken, err := filepath.Abs(filepath.Join("testdata", "preload_broken.php"))
	if err != nil {
		t.Fatal(err)
	}
	notPHP := filepath.Join(t.TempDir(), "php-cgi")
	if err := os.WriteFile(notPHP, []byte("#!/bin/sh\necho not today >&2\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	silent := filepath.Join(t.TempDir(), "php-cgi")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\necho waiting for Godot >&2\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(o *phpbin.Options)
		code   int
		want   []string
	}{
		"preload fails": {
			func(o *phpbin.Options) {
				o.INI = []phpbin.Setting{{Name: "opcache.preload", Value: broken}, {Name: "opcache.preload_user", Value: "root"}}
			}, 255, []string{"exit status 255", "no_such_function"},
		},
		"preload fails and logs nothing": {
			func(o *phpbin.Options) {
				o.INI = []phpbin.Setting{
					{Name: "opcache.preload", Value: broken},
					{Name: "opcache.preload_user", Value: "root"},
					{Name: "log_errors", Value: "0"},
				}
			}, 255, []string{"exit status 255", "no_such_function"},
		},
		"preload fails and has a log": {
			func(o *phpbin.Options) {
				o.INI = []phpbin.Setting{
					{Name: "opcache.preload", Value: broken},
					{Name: "opcache.preload_user", Value: "root"},
					{Name: "error_log", Value: os.DevNull},
				}
			}, 255, []string{"exit status 255", "no_such_function"},
		},
		"preload as root": {
			func(o *phpbin.Options) { o.INI = []phpbin.Setting{{Name: "opcache.preload", Value: broken}} },
			254,
			[]string{"exit status 254", "preload_user"},
		},
		"another program": {func(o *phpbin.Options) { o.Binary = notPHP }, 7, []string{"exit status 7", "not today"}},
		"no such file":    {func(o *phpbin.Options) { o.Binary = notPHP + "x" }, -1, []string{"no such file"}},
		"no response":     {func(o *phpbin.Options) { o.Binary = silent }, -1, []string{"did not respond within", "Godot"}},
	}
	for name, test := range tests {
		for _, kind := range []string{"shared", "single"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				if test.code == 254 && os.Getuid() != 0 {
					t.Skip("only root needs opcache.preload_user")
				}
				o := options(t)
				o.RuntimeDir = worldWritableDir(t)
				checkLeaks(t, o.RuntimeDir)
				test.change(&o)
				limit := waitLimit
				if test.want[0] == "did not respond within" {
					limit = 200 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				defer cancel()
				var err error
				if kind == "shared" {
					_, err = phpbin.StartShared(ctx, o)
				} else {
					l := startLauncher(t, kind, o)
					_, err = l.Launch(ctx)
				}
				var failed *phpbin.StartError
				if !errors.As(err, &failed) {
					t.Fatalf("got %T %v, want a *StartError", err, err)
				}
				if failed.ExitCode != test.code {
					t.Errorf("got exit code %d, want %d", failed.ExitCode, test.code)
				}
				for _, part := range test.want {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not contain %q", err, part)
					}
				}
			})
		}
	}
}

// The unused children are stopped (SIGSTOP), so that they do not handle TERM; Close
// must nevertheless not wait until its context ends. The worker must exit by itself,
// after TERM.
func TestClose_KillsUnusedChildren(t *testing.T) {
	l := startLauncher(t, "shared", options(t))
	worker := mustLaunch(t, l)
	run(t, worker, "pid.php", nil)
	pgid := groupOf(t, worker.PID())
	unusedChildren := func() (pids []int) {
		for _, pid := range children(l.MasterPID()) {
			if pid != worker.PID() {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	eventually(t, waitLimit, "all children forked", func() bool { return len(unusedChildren()) == l.Slots()-1 })
	for _, pid := range unusedChildren() {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Now()
	if err := l.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
	if elapsed := time.Since(start); elapsed > waitLimit {
		t.Errorf("Close took %v", elapsed)
	}
	if left := group(pgid); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	if worker.ExitStatus() == "signal: killed" {
		t.Error("the worker was killed")
	}
}
