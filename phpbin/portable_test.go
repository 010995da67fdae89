package phpbin_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// php returns the path of php-cgi. With -short the test is skipped: these take more
// than a minute.
func php(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts php-cgi: run without -short, as make test does")
	}
	path, err := phpbin.Find("")
	if err != nil {
		t.Fatalf("these tests need php-cgi, which `make test` installs: %v", err)
	}
	return path
}

const (
	// waitLimit is the time limit for anything that must happen, on a busy machine.
	waitLimit = 30 * time.Second

	// promptLimit is the time limit for what takes milliseconds, or a second at most, on
	// a busy machine.
	promptLimit = 3 * time.Second
)

// testContext returns a context that ends after waitLimit, or with the test.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	t.Cleanup(cancel)
	return ctx
}

// waitClosed fails unless done is closed within limit.
func waitClosed(t *testing.T, limit time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
		return
	default:
	}
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("after %v: not %s", limit, what)
	}
}

// The basic functions, on every platform.
func TestSingle_EveryPlatform(t *testing.T) {
	l, err := phpbin.StartSingle(testContext(t), phpbin.Options{Binary: php(t), Handshake: handshake})
	if err != nil {
		t.Fatalf("StartSingle: %v", err)
	}
	first, err := l.Launch(testContext(t))
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	if got := run(t, first, "pid.php", nil); got != strconv.Itoa(first.PID()) {
		t.Errorf("the script reports pid %s, want %d", got, first.PID())
	}
	again, err := first.Drain(testContext(t))
	if err != nil || again.PID() != first.PID() {
		t.Fatalf("Drain: got %v, %v, want the same process", again, err)
	}
	second, err := l.Launch(testContext(t))
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	if err := again.Stop(testContext(t)); err != nil {
		t.Errorf("Stop: %v", err)
	}
	waitClosed(t, 0, "done", again.Done())
	if err := second.Kill(); err != nil {
		t.Errorf("Kill: %v", err)
	}
	waitClosed(t, waitLimit, "done", second.Done())
	_ = second.Conn().Close()
	if _, err := l.Launch(testContext(t)); err != nil {
		t.Fatalf("Launch: %v", err)
	}
	if err := l.Close(testContext(t)); err != nil {
		t.Errorf("Close: %v", err)
	}
	waitClosed(t, 0, "done", l.Done())
}
