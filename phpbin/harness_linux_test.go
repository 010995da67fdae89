package phpbin_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helperMain()
		return
	}
	os.Exit(m.Run())
}

// eventually polls until ok returns true, and fails after limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v: not %s", limit, what)
		}
	}
}

// phpLauncher is the common interface of Shared and Single.
type phpLauncher interface {
	Launch(ctx context.Context) (*phpbin.Process, error)
	Slots() int
	Done() <-chan struct{}
	Err() error
	MasterPID() int
	Close(ctx context.Context) error
}

// entries collects what php-cgi and its programs write.
type entries struct {
	mu   sync.Mutex
	list []phpbin.Output
}

func (e *entries) add(o phpbin.Output) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, o)
}

func (e *entries) all() []phpbin.Output {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

func (e *entries) String() string {
	var b strings.Builder
	for _, o := range e.all() {
		b.WriteString(o.Text + "\n")
	}
	return b.String()
}

func options(t *testing.T) phpbin.Options {
	t.Helper()
	return phpbin.Options{Binary: php(t), Slots: 4, Handshake: handshake, Output: func(out phpbin.Output) {
		t.Log("php-cgi: " + out.Text)
	}}
}

// enablePCNTL empties disable_functions: with PHP 7.4 and older, Debian's php.ini
// disables pcntl_fork and pcntl_exec.
var enablePCNTL = []phpbin.Setting{{Name: "disable_functions"}}

// kinds are the launchers, which must behave alike.
var kinds = []string{"shared", "single"}

// startLauncher starts a launcher, closes it after the test, and checks that it leaves
// no process, goroutine, descriptor or file behind.
func startLauncher(t *testing.T, kind string, o phpbin.Options) phpLauncher {
	t.Helper()
	if o.RuntimeDir == "" {
		o.RuntimeDir = worldWritableDir(t) // t.TempDir may be too long for a socket
	}
	checkLeaks(t, o.RuntimeDir)
	var (
		l   phpLauncher
		err error
	)
	if kind == "shared" {
		l, err = phpbin.StartShared(testContext(t), o)
	} else {
		l, err = phpbin.StartSingle(testContext(t), o)
	}
	if err != nil {
		t.Fatalf("starting the launcher: %v", err)
	}
	t.Cleanup(func() {
		now, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := l.Close(now); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// checkLeaks checks, after the test and its later Cleanups, that there is not more
// than when it is called.
func checkLeaks(t *testing.T, dir string) {
	t.Helper()
	if r, w, err := os.Pipe(); err == nil { // opens the descriptors of Go's poller, which stay
		r.Close()
		w.Close()
	}
	goroutines, files, started := runtime.NumGoroutine(), descriptors(), len(children(os.Getpid()))
	t.Cleanup(func() {
		eventually(t, waitLimit, "as many goroutines as before", func() bool {
			return runtime.NumGoroutine() <= goroutines
		})
		eventually(t, waitLimit, "as many descriptors as before", func() bool {
			return len(descriptors()) <= len(files)
		})
		eventually(t, waitLimit, "as many children as before", func() bool {
			return len(children(os.Getpid())) <= started
		})
		if left, _ := filepath.Glob(filepath.Join(dir, "php-pool-*")); len(left) > 0 {
			t.Errorf("directories left behind: %v", left)
		}
	})
}

func descriptors() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

// stat returns the fields of /proc/PID/stat, beginning with the state.
func stat(pid int) []string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

// processes lists the processes whose stat matches: state, parent, process group,
// and so on.
func processes(ok func(fields []string) bool) []int {
	entries, _ := os.ReadDir("/proc")
	var list []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if fields := stat(pid); fields != nil && ok(fields) {
			list = append(list, pid)
		}
	}
	return list
}

func children(of int) []int {
	return processes(func(f []string) bool { return f[1] == strconv.Itoa(of) })
}

// group lists the processes of a process group, without zombies.
func group(pgid int) []int {
	return processes(func(f []string) bool { return f[2] == strconv.Itoa(pgid) && f[0] != "Z" })
}

func groupOf(t *testing.T, pid int) int {
	t.Helper()
	pgid, err := syscall.Getpgid(pid)
	if err != nil {
		t.Fatal(err)
	}
	return pgid
}

// worldWritableDir returns a temporary directory that every user can write to.
func worldWritableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "phpbin-test-") // t.TempDir is below a private directory
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustLaunch(t *testing.T, l phpLauncher) *phpbin.Process {
	t.Helper()
	p, err := l.Launch(testContext(t))
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	return p
}
