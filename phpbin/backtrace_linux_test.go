package phpbin_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// runningScript is a run of testdata/backtrace.php. It ends when end is called.
type runningScript struct {
	*phpbin.Process
	t   *testing.T
	dir string
}

// startScript starts the script, which ends in way and may use its own directory.
func startScript(t *testing.T, p *phpbin.Process, way, address string) *runningScript {
	t.Helper()
	run := &runningScript{p, t, worldWritableDir(t)}
	send(t, p.Conn(), "backtrace.php", url.Values{"way": {way}, "dir": {run.dir}, "address": {address}})
	eventually(t, waitLimit, "running", func() bool {
		data, _ := os.ReadFile(filepath.Join(run.dir, "pid"))
		return string(data) == strconv.Itoa(p.PID())
	})
	return run
}

// end makes the script finish, which must have run undisturbed.
func (r *runningScript) end() {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "stop"), nil, 0o666); err != nil {
		r.t.Fatal(err)
	}
	r.wantDone()
}

func (r *runningScript) wantDone() {
	r.t.Helper()
	if head, body, err := receive(r.Conn()); err != nil || body != "done" {
		r.t.Errorf("got head %q, body %q, %v, want body \"done\"", head, body, err)
	}
}

// position returns "FILE:LINE" of the line of a script that ends with the mark as a
// comment.
func position(t *testing.T, script, mark string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, code := range strings.Split(string(text), "\n") {
		if strings.HasSuffix(code, "// "+mark) {
			return fmt.Sprintf("%s:%d", path, i+1)
		}
	}
	t.Fatalf("%s has no line that ends with // %s", script, mark)
	return ""
}

// outerFrames are the callers of each way of backtrace.php.
func outerFrames(t *testing.T) []string {
	t.Helper()
	in := func(function, mark string) string { return function + " " + position(t, "backtrace.php", mark) }
	return []string{
		"array_map",
		in("Site\\{closure}", "closure"),
		in("Site\\rows", "rows"),
		in("Site\\all", "all"),
		in("Site\\{closure}", "closure"),
		in("Site\\Page::show", "show"),
		in("Site\\Page::open", "open"),
		in("{main}", "main"),
	}
}

// names formats frames. PHP 8.4 adds the position to the name of a closure; names
// removes it.
func names(frames []phpbin.Frame) []string {
	var list []string
	for _, f := range frames {
		if name, _, ok := strings.Cut(f.Function, "{closure:"); ok {
			f.Function = name + "Site\\{closure}"
		}
		list = append(list, f.String())
	}
	return list
}

// wantTrace waits until the backtrace is as wanted.
func (r *runningScript) wantTrace(depth int, want []string) {
	r.t.Helper()
	var got []string
	var err error
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var frames []phpbin.Frame
		frames, err = r.Backtrace(depth)
		if err != nil && !errors.Is(err, phpbin.ErrUnstable) {
			break
		}
		if got = names(frames); slices.Equal(got, want) {
			return
		}
	}
	r.t.Errorf("got error %v and frames\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(want, "\n"))
}

// settings are ini settings that change where PHP stores code and frames.
var settings = map[string][]phpbin.Setting{
	"plain":   {{Name: "opcache.enable", Value: "0"}},
	"opcache": {{Name: "opcache.enable", Value: "1"}, {Name: "opcache.jit", Value: "off"}, {Name: "opcache.file_update_protection", Value: "0"}},
	"jit": {
		{Name: "opcache.enable", Value: "1"},
		{Name: "opcache.jit", Value: "tracing"},
		{Name: "opcache.jit_buffer_size", Value: "16M"},
		{Name: "opcache.file_update_protection", Value: "0"},
	},
	"jit for all": {
		{Name: "opcache.enable", Value: "1"},
		{Name: "opcache.jit", Value: "1205"},
		{Name: "opcache.jit_buffer_size", Value: "16M"},
		{Name: "opcache.file_update_protection", Value: "0"},
	},
}

// launchWith launches a worker with a setting.
func launchWith(t *testing.T, kind, setting string) *phpbin.Process {
	t.Helper()
	o := options(t)
	o.INI = settings[setting]
	return mustLaunch(t, startLauncher(t, kind, o))
}

func TestBacktrace_Frames(t *testing.T) {
	for _, kind := range kinds {
		for setting := range settings {
			t.Run(kind+", "+setting, func(t *testing.T) { wantStacks(t, launchWith(t, kind, setting)) })
		}
	}
}

func wantStacks(t *testing.T, p *phpbin.Process) {
	t.Helper()
	ways := func(function, mark string) string { return function + " " + position(t, "backtrace_ways.php", mark) }
	asleep := []string{"usleep", ways("way_usleep", "usleep")}
	for _, way := range []struct {
		name string
		top  []string
	}{
		{"usleep", asleep},
		{"preg_match_all", []string{"preg_match_all", ways("way_preg_match_all", "preg_match_all")}},
		{"include", append(asleep, "{main} "+position(t, "backtrace_leaf.php", "leaf"), ways("way_include", "include"))},
		{"eval", append(asleep, "{main} "+strings.Replace(position(t, "backtrace_ways.php", "eval"), "php:", "php(", 1)+") : eval()'d code:3", ways("way_eval", "eval"))},
		{"magic", append(asleep, ways("class@anonymous::__call", "magic"), ways("way_magic", "trampoline"))},
		{"catch", append(asleep, ways("way_catch", "catch"))},
	} {
		r := startScript(t, p, way.name, "")
		r.wantTrace(20, slices.Concat(way.top, outerFrames(t)))
		r.wantTrace(2, way.top[:2])
		r.end()
	}
	if frames, err := p.Backtrace(20); err != nil || len(frames) != 0 {
		t.Errorf("idle worker: got frames %v, error %v, want none", frames, err)
	}
	r := startScript(t, p, "recurse", "")
	r.wantTrace(20, slices.Concat(asleep, []string{ways("way_recurse", "bottom")}, slices.Repeat([]string{ways("way_recurse", "recurse")}, 17)))
	frames, err := r.Backtrace(1 << 30)
	if err != nil || len(frames) != 256 {
		t.Errorf("recursion of 10000 calls: got %d frames, error %v, want 256", len(frames), err)
	}
	r.end()
}

// callers lists the possible callers of each function in way_spin.
var callers = map[string]string{
	"left": "way_spin", "right": "way_spin left", "stopped": "way_spin",
	"Pair::__construct": "right", "Pair::sum": "right", "Pair::other": "Pair::sum", "Pair::{closure}": "array_map",
	"strlen": "left", "strrev": "right", "max": "Pair::sum", "array_sum": "Pair::other", "array_map": "Pair::other",
	"clearstatcache": "stopped", "file_exists": "stopped",
}

// checkCalls checks that each frame is a function of the script and a possible callee
// of the next frame.
func checkCalls(frames []phpbin.Frame) error {
	for i, f := range frames[:len(frames)-1] {
		name, _, closure := strings.Cut(f.Function, "{closure:")
		if closure {
			name += "{closure}"
		}
		internal := !strings.Contains(name, "::") && name != "left" && name != "right" && name != "stopped"
		if internal != (f.File == "") || !internal && filepath.Base(f.File) != "backtrace_ways.php" {
			return fmt.Errorf("%q: got the file %q", name, f.File)
		}
		if caller := frames[i+1].Function; !slices.Contains(strings.Fields(callers[name]), caller) {
			return fmt.Errorf("%q: got the caller %q, want one of callers", name, caller)
		}
	}
	return nil
}

func TestBacktrace_UnstableStack(t *testing.T) {
	for setting := range settings {
		t.Run(setting, func(t *testing.T) { wantTruth(t, launchWith(t, "shared", setting)) })
	}
}

func wantTruth(t *testing.T, p *phpbin.Process) {
	t.Helper()
	base := outerFrames(t)
	r := startScript(t, p, "spin", "")
	const reads = 2500 // in each of the settings
	unstable, short, elapsed, seen := 0, 0, time.Duration(0), map[int]int{}
	var wrong []error
	for range reads {
		start := time.Now()
		frames, err := r.Backtrace(20)
		elapsed += time.Since(start)
		if errors.Is(err, phpbin.ErrUnstable) {
			unstable++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		inner := len(frames) - len(base)
		if inner < 1 { // only at the start of the script
			short++
			continue
		}
		if got := names(frames[inner:]); !slices.Equal(got, base) {
			t.Fatalf("got\n%s\nwant as the outer frames\n%s", strings.Join(names(frames), "\n"), strings.Join(base, "\n"))
		}
		if err := checkCalls(frames[:inner]); err != nil {
			wrong = append(wrong, err)
		}
		seen[inner]++
	}
	t.Logf("%d backtraces: %d unstable, %d short; number of inner frames: %v; %v each", reads, unstable, short, seen, elapsed/reads)
	// If the kernel suspends PHP within a call, all readings agree on half of it.
	if len(wrong) > reads/500 {
		t.Errorf("%d of %d backtraces are wrong: %v", len(wrong), reads, errors.Join(wrong...))
	}
	if unstable+short > reads/5 {
		t.Errorf("%d backtraces: %d unstable and %d short, want at most a fifth", reads, unstable, short)
	}
	r.end()
	if got := run(t, p, "pid.php", nil); got != fmt.Sprint(p.PID()) {
		t.Errorf("afterwards: the script reports pid %s, want %d", got, p.PID())
	}
}

// asUser runs f on a thread of another user, whose permissions the kernel checks.
func asUser(t *testing.T, user *phpbin.Credential, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		_, _, errno := syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(user.GID), uintptr(user.GID), uintptr(user.GID))
		if errno == 0 {
			_, _, errno = syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(user.UID), uintptr(user.UID), uintptr(user.UID))
		}
		if errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestBacktrace_Permission(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Credential = wwwData(t)
			r := startScript(t, mustLaunch(t, startLauncher(t, kind, o)), "usleep", "")
			want := []string{"usleep", "way_usleep " + position(t, "backtrace_ways.php", "usleep")}
			r.wantTrace(2, want) // as root
			asUser(t, o.Credential, func() { r.wantTrace(2, want) })
			nobody := &phpbin.Credential{UID: 65534, GID: 65534}
			asUser(t, nobody, func() {
				frames, err := r.Backtrace(20)
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "CAP_SYS_PTRACE") || frames != nil {
					t.Errorf("as nobody: got %v, %v, want ErrUnsupported with the missing capability", frames, err)
				}
				if w, err := r.BlockedOn(); err != nil || w.Call != "sleeping" && w.Call != "running" || w.Target != "" {
					t.Errorf("as nobody: got wait %q, error %v, want sleeping or running", w, err)
				}
			})
			r.end()
		})
	}
}

func TestBacktrace_ThreadSafePHP(t *testing.T) {
	o := options(t)
	o.ZTS = true
	p := mustLaunch(t, startLauncher(t, "shared", o))
	if frames, err := p.Backtrace(20); !errors.Is(err, errors.ErrUnsupported) || frames != nil {
		t.Errorf("got %v, %v, want ErrUnsupported", frames, err)
	}
}

func TestBacktrace_ExitedWorker(t *testing.T) {
	p := mustLaunch(t, startLauncher(t, "shared", options(t)))
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, promptLimit, "done", p.Done())
	if frames, err := p.Backtrace(20); !errors.Is(err, os.ErrProcessDone) || frames != nil {
		t.Errorf("got %v, %v, want ErrProcessDone", frames, err)
	}
	if w, err := p.BlockedOn(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("got %v, %v, want ErrProcessDone", w, err)
	}
}

// The script makes its worker execute another program (pcntl_exec).
func TestBacktrace_AnotherProgram(t *testing.T) {
	o := options(t)
	o.INI = enablePCNTL
	p := mustLaunch(t, startLauncher(t, "shared", o))
	r := startScript(t, p, "exec", "/bin/sleep")
	r.wantBlockedOn("clock_nanosleep", "nanosleep")
	if frames, err := p.Backtrace(20); !errors.Is(err, errors.ErrUnsupported) || frames != nil {
		t.Errorf("got %v, %v, want ErrUnsupported", frames, err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
}

func BenchmarkBacktrace(b *testing.B) {
	l, err := phpbin.StartShared(context.Background(), benchOptions(b))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close(context.Background())
	p, err := l.Launch(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	path, err := filepath.Abs("testdata/backtrace.php")
	if err != nil {
		b.Fatal(err)
	}
	if err := sendPath(p.Conn(), path, url.Values{"way": {"usleep"}, "dir": {dir}}); err != nil {
		b.Fatal(err)
	}
	for frames := []phpbin.Frame(nil); len(frames) < 10; {
		frames, _ = p.Backtrace(20)
	}
	b.Run("Backtrace", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Backtrace(20); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("BlockedOn", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.BlockedOn(); err != nil {
				b.Fatal(err)
			}
		}
	})
	_ = p.Kill()
}
