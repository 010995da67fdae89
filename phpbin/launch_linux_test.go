package phpbin_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestEachWorkerAnswersItsOwnPID(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			seen := map[int]bool{}
			for range 4 {
				p := mustLaunch(t, l)
				for range 3 {
					if got := run(t, p, "pid.php", nil); got != strconv.Itoa(p.PID()) {
						t.Fatalf("the script says %s, PID %d", got, p.PID())
					}
				}
				parent := os.Getpid()
				if l.MasterPID() != 0 {
					parent = l.MasterPID()
				}
				if got := stat(p.PID())[1]; got != strconv.Itoa(parent) {
					t.Errorf("parent %s, want %d", got, parent)
				}
				seen[p.PID()] = true
			}
			if len(seen) != 4 {
				t.Errorf("%d different workers, want 4", len(seen))
			}
			if l.Slots() != 0 {
				if p, err := l.Launch(within(t)); !errors.Is(err, phpbin.ErrNoSlot) || p != nil {
					t.Errorf("a fifth worker of four: %v, %v", p, err)
				}
			}
		})
	}
}

func TestAKilledWorkerIsDoneAndReplaced(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			var workers []*phpbin.Process
			for range 4 {
				workers = append(workers, mustLaunch(t, l))
			}
			for _, p := range workers {
				if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				closed(t, prompt, "done", p.Done())
				want := "signal: killed"
				if kind == "shared" && !tellsExit() {
					want = ""
				}
				if got := p.ExitStatus(); got != want {
					t.Errorf("it ended by %q, want %q", got, want)
				}
				q := mustLaunch(t, l)
				if q.ExitStatus() != "" {
					t.Errorf("it runs, and has ended by %q", q.ExitStatus())
				}
				if q.PID() == p.PID() {
					t.Errorf("the successor of %d has the same number", p.PID())
				}
				if got := run(t, q, "pid.php", nil); got != strconv.Itoa(q.PID()) {
					t.Errorf("the script says %s, PID %d", got, q.PID())
				}
				_ = p.Conn().Close()
			}
		})
	}
}

// tellsExit reports whether the system is one that says how another's child
// ended: Linux 6.15.
func tellsExit() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var major, minor int
	_, _ = fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return major > 6 || major == 6 && minor >= 15
}

func TestStopEndsAnIdleWorkerAtOnceAndFreesItsSlot(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots = 1
			l := start(t, kind, o)
			for range 5 {
				p := mustLaunch(t, l)
				run(t, p, "pid.php", nil)
				begun := time.Now()
				if err := p.Stop(within(t)); err != nil {
					t.Fatalf("Stop: %v", err)
				}
				if took := time.Since(begun); took >= time.Second {
					t.Errorf("Stop took %v: it did not leave when asked", took)
				}
				if err := p.Stop(within(t)); err != nil {
					t.Errorf("Stop again: %v", err)
				}
				if err := p.Kill(); err != nil {
					t.Errorf("Kill after Stop: %v", err)
				}
			}
		})
	}
}

func TestStopKillsAWorkerThatDoesNotLeave(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			p := mustLaunch(t, l)
			spin(t, p)
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := p.Stop(ctx); err != nil {
				t.Fatalf("Stop: %v", err)
			}
			closed(t, prompt, "done", p.Done())
		})
	}
}

// spin makes p compute for ever, and returns when it does.
func spin(t *testing.T, p *phpbin.Process) {
	t.Helper()
	busy(t, p, "spin.php", nil)
}

// busy begins a script that says by a file that it runs.
func busy(t *testing.T, p *phpbin.Process, script string, query url.Values) {
	t.Helper()
	file := filepath.Join(openDir(t), "pid")
	all := url.Values{"file": {file}}
	maps.Copy(all, query)
	send(t, p.Conn(), script, all)
	eventually(t, soon, "running", func() bool {
		data, _ := os.ReadFile(file)
		return string(data) == strconv.Itoa(p.PID())
	})
}

func TestSoftTimeoutEndsTheScriptAndNotTheWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			p := mustLaunch(t, l)
			run(t, p, "pid.php", nil)
			spin(t, p)
			if err := p.SoftTimeout(); err != nil {
				t.Fatalf("SoftTimeout: %v", err)
			}
			head, _, err := receive(p.Conn())
			if err != nil || !strings.Contains(head, "Status: 500") {
				t.Errorf("head %q, error %v", head, err)
			}
			if got := run(t, p, "pid.php", nil); got != strconv.Itoa(p.PID()) {
				t.Errorf("the script says %s, PID %d", got, p.PID())
			}
		})
	}
	o := options(t)
	o.ZTS = true
	p := mustLaunch(t, start(t, "single", o))
	if err := p.SoftTimeout(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("thread-safe PHP: %v", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			p := mustLaunch(t, l)
			mustLaunch(t, l)
			pgid := groupOf(t, p.PID())
			if len(group(pgid)) < 3 {
				t.Fatalf("group %d has %v", pgid, group(pgid))
			}
			begun := time.Now()
			if err := l.Close(within(t)); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if took := time.Since(begun); took > prompt {
				t.Errorf("Close took %v", took)
			}
			if left := group(pgid); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			closed(t, 0, "done", l.Done())
			closed(t, prompt, "done", p.Done())
			if p, err := l.Launch(within(t)); !errors.Is(err, phpbin.ErrClosed) || p != nil {
				t.Errorf("Launch after Close: %v, %v", p, err)
			}
			if err := l.Err(); !errors.Is(err, phpbin.ErrClosed) {
				t.Errorf("Err after Close: %v", err)
			}
			if err := p.Stop(within(t)); err != nil {
				t.Errorf("Stop after Close: %v", err)
			}
		})
	}
}

func TestCloseWaitsForAScriptAndKillsItWhenTimeIsUp(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			p := mustLaunch(t, l)
			spin(t, p)
			pgid := groupOf(t, p.PID())
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if err := l.Close(ctx); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if took := time.Since(begun); took < 200*time.Millisecond || took > prompt {
				t.Errorf("Close took %v", took)
			}
			if left := group(pgid); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestMemoryAndCPUAreThoseOfTheWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			p := mustLaunch(t, l)
			run(t, p, "pid.php", nil)
			memory, err := p.Memory()
			if err != nil || memory < 64<<10 || memory > 64<<20 {
				t.Errorf("Memory: %d, %v", memory, err)
			}
			pss, err := pssOf(p.PID())
			if err != nil || pss < memory {
				t.Errorf("PSS: %d, %v; Memory %d", pss, err, memory)
			}
			spin(t, p)
			eventually(t, soon, "computing", func() bool { return p.CPU() >= 20*time.Millisecond })
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
}

// pssOf returns the memory of a process with its share of what it has in common
// with others, from /proc/PID/smaps_rollup.
func pssOf(pid int) (int64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), "\nPss:")
	text, _, _ := strings.Cut(rest, "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return kib << 10, err
}
