package phpbin_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// php returns the php-cgi of this machine.
func php(t *testing.T) string {
	t.Helper()
	path, err := phpbin.Find("")
	if err != nil && testing.Short() {
		t.Skip("needs php-cgi, which is missing: make test installs it")
	}
	if err != nil {
		t.Fatalf("these tests need php-cgi, which `make test` installs: %v", err)
	}
	return path
}

const (
	// soon is how long a test waits for what should happen at all, on a machine
	// that has much else to do.
	soon = 30 * time.Second

	// prompt is how long it waits for what takes milliseconds, and a second at
	// most: the rest is for machines that have much else to do.
	prompt = 3 * time.Second
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	t.Cleanup(cancel)
	return ctx
}

// closed fails unless done is closed within limit.
func closed(t *testing.T, limit time.Duration, what string, done <-chan struct{}) {
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

// What every platform must be capable of; Linux is put to more tests.
func TestASinglePHPServesOnEveryPlatform(t *testing.T) {
	l, err := phpbin.StartSingle(within(t), phpbin.Options{Binary: php(t), Handshake: handshake})
	if err != nil {
		t.Fatalf("starting: %v", err)
	}
	first, err := l.Launch(within(t))
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	if got := run(t, first, "pid.php", nil); got != strconv.Itoa(first.PID()) {
		t.Errorf("the script says %s, PID %d", got, first.PID())
	}
	again, err := first.Drain(within(t))
	if err != nil || again.PID() != first.PID() {
		t.Fatalf("Drain: %v, %v", again, err)
	}
	second, err := l.Launch(within(t))
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	if err := again.Stop(within(t)); err != nil {
		t.Errorf("Stop: %v", err)
	}
	closed(t, 0, "done", again.Done())
	if err := second.Kill(); err != nil {
		t.Errorf("Kill: %v", err)
	}
	closed(t, soon, "done", second.Done())
	_ = second.Conn().Close()
	if _, err := l.Launch(within(t)); err != nil {
		t.Fatalf("Launch: %v", err)
	}
	if err := l.Close(within(t)); err != nil {
		t.Errorf("Close: %v", err)
	}
	closed(t, 0, "done", l.Done())
}
