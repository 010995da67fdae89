package pool

import (
	"context"
	"errors"
	"sync/atomic"
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
		a.wantWaiting() // for the next launch
		time.Sleep(maxBackoff)
		var launch *LaunchError
		if a.wantError(broken); !errors.As(a.err, &launch) || launch.RetryIn <= 0 {
			t.Errorf("got %v, want a LaunchError with RetryIn", a.err)
		}
		// A request that may not wait that long is refused at once.
		if _, err := tt.Acquire(tt.Context(), Info{MaxWait: 10 * time.Millisecond}); !errors.As(err, &launch) {
			t.Errorf("got %v, want a LaunchError", err)
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

// Launches that fail together are one failure: the next one is not delayed.
func TestLaunch_FailuresTogetherCountOnce(t *testing.T) {
	run(t, static(8), func(tt *tester) {
		var failures atomic.Int64
		tt.mu.Lock()
		tt.launch = func(context.Context) error {
			if failures.Add(1) <= 8 {
				time.Sleep(time.Second)
				return errors.New("fork: resource temporarily unavailable")
			}
			return nil
		}
		tt.mu.Unlock()
		for i := range 8 {
			tt.proc(i).end()
		}
		tt.wantWorkers(8, 0)
		time.Sleep(time.Second)
		tt.wantWorkers(8, 8)
	})
}

// A request waits for the next launch and is served, if it may wait that long.
func TestLaunch_RequestWaitsForRetry(t *testing.T) {
	run(t, dynamic(1, 4, 4), func(tt *tester) {
		tt.refuse(errors.New("no memory"))
		tt.proc(0).end()
		time.Sleep(time.Second)
		a := tt.acquire()
		a.wantWaiting()
		tt.refuse(nil)
		time.Sleep(maxBackoff)
		a.wantLease().Release()
	})
}

// Workers that were launched before the last failure prove nothing about launches.
func TestLaunch_OldWorkerKeepsBackoff(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.refuse(errors.New("no memory"))
		tt.proc(0).end()
		for range 600 {
			time.Sleep(time.Second)
			if _, err := tt.get("/a.php"); err != nil {
				t.Fatal(err)
			}
		}
		if n := tt.attempts.Load(); n > 80 {
			t.Errorf("%d attempts in 10 minutes, want about one per 10 s", n)
		}
		if tt.Stats().LastFailure == nil {
			t.Error("LastFailure was removed although no launch succeeded")
		}
	})
}

// A worker that has reached a limit is kept while none can be launched.
func TestLaunch_NoRecycleWhileFailing(t *testing.T) {
	s := static(2)
	s.MaxRequests = 3
	run(t, s, func(tt *tester) {
		tt.refuse(errors.New("no such file"))
		for range 20 {
			if _, err := tt.get("/a.php"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		tt.refuse(nil)
		time.Sleep(time.Minute)
		tt.get("/a.php") // it returns the worker, which is replaced now
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Exits[MaxRequests]; got != 2 {
			t.Errorf("%d workers were replaced, want 2", got)
		}
	})
}
