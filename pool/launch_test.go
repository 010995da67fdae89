package pool

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestLaunch_BackoffAndRecovery(t *testing.T) {
	run(t, dynamic(1, 4, 4), func(tt *tester) {
		broken := errors.New("no memory")
		tt.refuse(broken)
		tt.proc(0).end()
		time.Sleep(10 * time.Minute)
		if attempts := tt.attempts.Load(); attempts < 50 || attempts > 80 {
			t.Errorf("%d attempts in 10 minutes, want about one per 10 s", attempts)
		}
		a := tt.acquire()
		var launch *LaunchError
		if a.wantError(broken); !errors.As(a.err, &launch) || launch.RetryIn <= 0 {
			t.Errorf("got %v, want a LaunchError with RetryIn", a.err)
		}
		tt.refuse(nil)
		time.Sleep(maxBackoff)
		tt.wantWorkers(1, 1)
		if _, err := tt.get("/a.php"); err != nil {
			t.Errorf("after the recovery: %v", err)
		}
		if tt.Stats().LastFailure != nil {
			t.Error("LastFailure is still set although the pool has recovered")
		}
	})
}

func TestLaunch_OutlivesRequest(t *testing.T) {
	run(t, dynamic(1, 4, 4), func(tt *tester) {
		held := tt.acquire().wantLease()
		ready := make(chan struct{})
		tt.mu.Lock()
		tt.launch = func(context.Context) error { <-ready; return nil }
		tt.mu.Unlock()
		a := tt.acquire()
		a.wantWaiting()
		a.cancel()
		a.wantError(context.Canceled)
		close(ready)
		tt.wantWorkers(2, 1)
		held.Release()
	})
}

func TestLaunch_ReleasedWorkerComesFirst(t *testing.T) {
	run(t, dynamic(1, 4, 4), func(tt *tester) {
		held := tt.acquire().wantLease()
		ready := make(chan struct{})
		tt.mu.Lock()
		tt.launch = func(context.Context) error { <-ready; return nil }
		tt.mu.Unlock()
		a := tt.acquire()
		a.wantWaiting()
		held.Release()
		a.wantLease().Release()
		close(ready)
		tt.wantWorkers(2, 2)
	})
}
