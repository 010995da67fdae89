package phpbin_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestMain(m *testing.M) {
	if os.Getenv(standInEnv) != "" {
		standIn()
		return
	}
	os.Exit(m.Run())
}

// eventually polls until ok says so, and fails after limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v: not %s", limit, what)
		}
	}
}

// launcher is what both have in common.
type launcher interface {
	Launch(ctx context.Context) (*phpbin.Process, error)
	Slots() int
	Done() <-chan struct{}
	Err() error
	MasterPID() int
	Close(ctx context.Context) error
}

// lines collects what php-cgi wrote on stderr.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.list, "\n")
}

func options(t *testing.T) phpbin.Options {
	t.Helper()
	return phpbin.Options{Binary: php(t), Slots: 4, Handshake: handshake, Stderr: func(line string) {
		t.Log("php-cgi: " + line)
	}}
}

// kinds are the launchers: they are to behave alike.
var kinds = []string{"shared", "single"}

// start starts a launcher, and sees to it that nothing of it is left at the end
// of the test: no process, goroutine, descriptor or file.
func start(t *testing.T, kind string, o phpbin.Options) launcher {
	t.Helper()
	if o.RuntimeDir == "" {
		o.RuntimeDir = openDir(t) // t.TempDir may be too long for a socket
	}
	nothingLeft(t, o.RuntimeDir)
	var (
		l   launcher
		err error
	)
	if kind == "shared" {
		l, err = phpbin.StartShared(within(t), o)
	} else {
		l, err = phpbin.StartSingle(within(t), o)
	}
	if err != nil {
		t.Fatalf("starting: %v", err)
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

// nothingLeft compares, after the test and its Cleanups, with what was there
// when it is called.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	goroutines, files, started := runtime.NumGoroutine(), descriptors(), len(children(os.Getpid()))
	t.Cleanup(func() {
		eventually(t, soon, "as many goroutines as before", func() bool {
			return runtime.NumGoroutine() <= goroutines
		})
		eventually(t, soon, "as many descriptors as before", func() bool {
			return len(descriptors()) <= len(files)
		})
		eventually(t, soon, "as many children as before", func() bool {
			return len(children(os.Getpid())) <= started
		})
		if left, _ := filepath.Glob(filepath.Join(dir, "php-pool-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
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

// stat returns the fields of /proc/PID/stat from the state on.
func stat(pid int) []string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

// processes lists those for which ok says so, of what follows the name in their
// stat: state, parent, process group.
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

// group lists the living processes of a process group.
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

// openDir is a temporary directory that every user can write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "phpbin-test-") // t.TempDir lies in a private one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustLaunch(t *testing.T, l launcher) *phpbin.Process {
	t.Helper()
	p, err := l.Launch(within(t))
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	return p
}
