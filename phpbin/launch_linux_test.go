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

func TestLaunch_PIDs(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			seen := map[int]bool{}
			for range 4 {
				p := mustLaunch(t, l)
				for range 3 {
					if got := run(t, p, "pid.php", nil); got != strconv.Itoa(p.PID()) {
						t.Fatalf("the script reports pid %s, want %d", got, p.PID())
					}
				}
				parent := os.Getpid()
				if l.MasterPID() != 0 {
					parent = l.MasterPID()
				}
				if got := stat(p.PID())[1]; got != strconv.Itoa(parent) {
					t.Errorf("got parent %s, want %d", got, parent)
				}
				seen[p.PID()] = true
			}
			if len(seen) != 4 {
				t.Errorf("got %d different workers, want 4", len(seen))
			}
			if l.Slots() != 0 {
				if p, err := l.Launch(testContext(t)); !errors.Is(err, phpbin.ErrNoSlot) || p != nil {
					t.Errorf("Launch of a fifth worker: got %v, %v, want ErrNoSlot", p, err)
				}
			}
		})
	}
}

func TestLaunch_ReplacesKilledWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			var workers []*phpbin.Process
			for range 4 {
				workers = append(workers, mustLaunch(t, l))
			}
			for _, p := range workers {
				if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				waitClosed(t, promptLimit, "done", p.Done())
				want := "signal: killed"
				if kind == "shared" && !hasPidfdExitStatus() {
					want = ""
				}
				if got := p.ExitStatus(); got != want {
					t.Errorf("got exit status %q, want %q", got, want)
				}
				q := mustLaunch(t, l)
				if q.ExitStatus() != "" {
					t.Errorf("got exit status %q of a running worker, want none", q.ExitStatus())
				}
				if q.PID() == p.PID() {
					t.Errorf("the successor of %d has the same pid", p.PID())
				}
				if got := run(t, q, "pid.php", nil); got != strconv.Itoa(q.PID()) {
					t.Errorf("the script reports pid %s, want %d", got, q.PID())
				}
				_ = p.Conn().Close()
			}
		})
	}
}

// hasPidfdExitStatus reports whether the kernel provides the exit status of a
// process that is not our child: Linux 6.15.
func hasPidfdExitStatus() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	var major, minor int
	_, _ = fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return major > 6 || major == 6 && minor >= 15
}

func TestStop_IdleWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots = 1
			l := startLauncher(t, kind, o)
			for range 5 {
				p := mustLaunch(t, l)
				run(t, p, "pid.php", nil)
				start := time.Now()
				if err := p.Stop(testContext(t)); err != nil {
					t.Fatalf("Stop: %v", err)
				}
				if elapsed := time.Since(start); elapsed >= time.Second {
					t.Errorf("Stop took %v: the worker did not exit after TERM", elapsed)
				}
				if err := p.Stop(testContext(t)); err != nil {
					t.Errorf("second Stop: %v", err)
				}
				if err := p.Kill(); err != nil {
					t.Errorf("Kill after Stop: %v", err)
				}
			}
		})
	}
}

func TestStop_BusyWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			spin(t, p)
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := p.Stop(ctx); err != nil {
				t.Fatalf("Stop: %v", err)
			}
			waitClosed(t, promptLimit, "done", p.Done())
		})
	}
}

// spin makes p compute forever, and returns when the script runs.
func spin(t *testing.T, p *phpbin.Process) {
	t.Helper()
	startBusy(t, p, "spin.php", nil)
}

// startBusy starts a script and returns when it runs, which it reports by a file.
func startBusy(t *testing.T, p *phpbin.Process, script string, query url.Values) {
	t.Helper()
	file := filepath.Join(worldWritableDir(t), "pid")
	all := url.Values{"file": {file}}
	maps.Copy(all, query)
	send(t, p.Conn(), script, all)
	eventually(t, waitLimit, "running", func() bool {
		data, _ := os.ReadFile(file)
		return string(data) == strconv.Itoa(p.PID())
	})
}

func TestSoftTimeout(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			run(t, p, "pid.php", nil)
			spin(t, p)
			if err := p.SoftTimeout(); err != nil {
				t.Fatalf("SoftTimeout: %v", err)
			}
			head, _, err := receive(p.Conn())
			if err != nil || !strings.Contains(head, "Status: 500") {
				t.Errorf("got head %q, error %v, want status 500", head, err)
			}
			if got := run(t, p, "pid.php", nil); got != strconv.Itoa(p.PID()) {
				t.Errorf("the script reports pid %s, want %d", got, p.PID())
			}
		})
	}
	o := options(t)
	o.ZTS = true
	p := mustLaunch(t, startLauncher(t, "single", o))
	if err := p.SoftTimeout(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("thread-safe PHP: got %v, want ErrUnsupported", err)
	}
}

func TestClose_LeavesNothing(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			mustLaunch(t, l)
			pgid := groupOf(t, p.PID())
			if len(group(pgid)) < 3 {
				t.Fatalf("group %d: got %v, want 3 processes at least", pgid, group(pgid))
			}
			start := time.Now()
			if err := l.Close(testContext(t)); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if elapsed := time.Since(start); elapsed > promptLimit {
				t.Errorf("Close took %v", elapsed)
			}
			if left := group(pgid); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			waitClosed(t, 0, "done", l.Done())
			waitClosed(t, promptLimit, "done", p.Done())
			if p, err := l.Launch(testContext(t)); !errors.Is(err, phpbin.ErrClosed) || p != nil {
				t.Errorf("Launch after Close: got %v, %v, want ErrClosed", p, err)
			}
			if err := l.Err(); !errors.Is(err, phpbin.ErrClosed) {
				t.Errorf("Err after Close: got %v, want ErrClosed", err)
			}
			if err := p.Stop(testContext(t)); err != nil {
				t.Errorf("Stop after Close: %v", err)
			}
		})
	}
}

func TestClose_BusyWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			spin(t, p)
			pgid := groupOf(t, p.PID())
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			start := time.Now()
			if err := l.Close(ctx); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if elapsed := time.Since(start); elapsed < 200*time.Millisecond || elapsed > promptLimit {
				t.Errorf("Close took %v", elapsed)
			}
			if left := group(pgid); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
		})
	}
}

func TestMemoryAndCPU(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l)
			run(t, p, "pid.php", nil)
			memory, err := p.Memory()
			if err != nil || memory < 64<<10 || memory > 64<<20 {
				t.Errorf("Memory: got %d, %v", memory, err)
			}
			pss, err := pssOf(p.PID())
			if err != nil || pss < memory {
				t.Errorf("PSS: got %d, %v, want at least Memory, %d", pss, err, memory)
			}
			spin(t, p)
			eventually(t, waitLimit, "computing", func() bool { return p.CPU() >= 20*time.Millisecond })
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
}

// pssOf returns the memory of a process with its share of the memory that it shares
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
