package phpbin_test

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// An idle worker that does not handle TERM, because it is stopped, must be killed at
// once; one whose script still runs must not, until the context ends.
func TestClose_KillIdle(t *testing.T) {
	o := options(t)
	o.KillIdle, o.Slots = true, 2
	l := startLauncher(t, "shared", o)
	idle, busy := mustLaunch(t, l), mustLaunch(t, l)
	run(t, idle, "pid.php", nil)
	spin(t, busy)
	drained := make(chan error, 1)
	go func() {
		_, err := busy.Drain(context.Background())
		drained <- err
	}()
	eventually(t, promptLimit, "draining", func() bool {
		_, err := busy.Conn().Write(nil)
		return err != nil
	})
	if err := syscall.Kill(idle.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- l.Close(ctx) }()
	waitClosed(t, waitLimit, "the idle worker is killed", idle.Done())
	for range 20 { // a mistake would take effect soon
		select {
		case <-busy.Done():
			t.Fatalf("the busy worker ended: %s", busy.ExitStatus())
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	<-drained
}
