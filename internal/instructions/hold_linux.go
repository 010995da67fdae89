package instructions

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// recordedWith is the Go, and the machine, that the figures of all tests were
// recorded with: another compiler makes other instructions.
const (
	recordedWith = "go1.26"
	recordedOn   = "amd64"
)

const (
	warmUps   = 200
	rounds    = 3   // of which the least counts: a timer may run in one
	tolerance = 0.1 // of the recorded figure, up or down
)

// Hold fails the test if op takes another number of instructions than was
// recorded, by more than a tenth. Fewer are to be recorded too, or what was won
// could be lost again unseen. Where it cannot be measured the test is skipped,
// and says why.
func Hold(t *testing.T, recorded int, op func()) {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		repeat(op)
	}
	if v := runtime.Version(); v != recordedWith && !strings.HasPrefix(v, recordedWith+".") || runtime.GOARCH != recordedOn {
		t.Skipf("NOT MEASURED: the figures are those of %s on %s, and this is %s on %s", recordedWith, recordedOn, v, runtime.GOARCH)
	}
	got, err := count(t.Name())
	if errors.Is(err, errRefused) {
		t.Skipf("NOT MEASURED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instructions, %d recorded", got, recorded)
	if d := float64(got - recorded); d > tolerance*float64(recorded) || d < -tolerance*float64(recorded) {
		t.Errorf("%d instructions, %d were recorded with %s on %s (now %s): find out why, "+
			"and if it is meant, write the new figure into the test", got, recorded, recordedWith, recordedOn, runtime.Version())
	}
}

// variable names, in the environment of the second process, the test that it is
// to repeat.
const variable = "PHP_POOL_INSTRUCTIONS"

// again is the command line of that process.
func again(name string) []string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	return []string{"-test.run=" + strings.Join(parts, "/"), "-test.count=1"}
}

// mark is called before each op and after the last one: who steps through knows
// it by its address.
//
//go:noinline
func mark() {}

// The second process keeps its first thread for the main goroutine, which has
// nothing to do: the end of a first thread is not told before that of all others,
// and who waits for the watched one, to end it, would wait for ever.
func init() {
	if os.Getenv(variable) != "" {
		runtime.LockOSThread()
	}
}

func markAddress() uint64 { return uint64(reflect.ValueOf(mark).Pointer()) }

// repeat is what the second process does instead of the test: it waits on its
// standard input until it is watched, stops, and runs op.
func repeat(op func()) {
	debug.SetGCPercent(-1)
	for range warmUps {
		op()
	}
	runtime.LockOSThread()
	fmt.Printf("\n%s %d\n", ready, unix.Gettid())
	var start [1]byte
	for {
		// Not by os.Stdin, which would leave the thread.
		if _, err := syscall.Read(0, start[:]); err != syscall.EINTR {
			break
		}
	}
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // it is watched
	runtime.UnlockOSThread()
	for range rounds {
		mark()
		op()
	}
	mark()
	os.Exit(0)
}

// ready precedes the number of the thread that is to be watched.
const ready = "php_pool-instructions-thread"
