package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestOpen_StaticPool(t *testing.T) {
	run(t, static(3), func(tt *tester) { tt.wantWorkers(3, 3) })
}

func TestClose_RejectsWaitingRequests(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		held := tt.acquire().wantLease()
		tt.acquire().wantLease().Release()
		one := tt.acquire().wantLease()
		waiting := tt.acquire()
		closed := make(chan error)
		go func() { closed <- tt.Close(context.Background()) }()
		waiting.wantError(ErrClosed)
		tt.acquire().wantError(ErrClosed)
		one.Release()
		held.Release()
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestClose_Timeout(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		start := time.Now()
		if err := tt.Close(ctx); err == nil {
			t.Error("Close during a request: got no error")
		}
		tt.wantCloseError = true
		if elapsed := time.Since(start); elapsed != 4*time.Second {
			t.Errorf("Close took %v, want 4s", elapsed)
		}
		held.Release()
	})
}

func TestClose_WaiterGivesUp(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		// It gets a worker, but gives up before it has seen that.
		ctx, cancel := context.WithCancel(context.Background())
		p := tt.Pool
		p.mu.Lock()
		wt := p.getWaiterLocked(&Info{}, nil)
		err := p.enqueueLocked(wt, false)
		p.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		held.Release()
		cancel()
		closed := make(chan error)
		go func() { closed <- tt.Close(context.Background()) }()
		tt.settle()
		// Whichever of the two it sees first, the worker becomes available again.
		if l, err := p.await(ctx, wt); err == nil {
			l.Release()
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestConfigure_SmallerPool(t *testing.T) {
	run(t, static(4), func(tt *tester) {
		held := tt.acquire().wantLease()
		s := static(1)
		s.StopTimeout = time.Second
		if !tt.HasCapacityFor(&s) {
			t.Error("HasCapacityFor a smaller pool: got false")
		}
		tt.Configure(s)
		tt.wantWorkers(1, 0)
		held.Release()
		tt.wantWorkers(1, 1)
	})
}

func TestConfigure_SmallerPoolWhileRequestsWait(t *testing.T) {
	run(t, static(3), func(tt *tester) {
		one, two, three := tt.acquire().wantLease(), tt.acquire().wantLease(), tt.acquire().wantLease()
		waiting := tt.acquire()
		s := static(1)
		s.StopTimeout = time.Second
		tt.Configure(s)
		one.Release()
		tt.wantWorkers(2, 0)
		two.Release()
		tt.wantWorkers(1, 0)
		waiting.wantWaiting()
		three.Release()
		waiting.wantLease().Release()
		tt.wantWorkers(1, 1)
	})
}

func TestHasCapacityFor_LargerPool(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		s := static(200)
		if tt.HasCapacityFor(&s) {
			t.Error("HasCapacityFor 200 workers in a generation for 2: got true")
		}
	})
}

func TestWaitStable_WaitsForLaunches(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.mu.Lock()
		tt.launch = func(context.Context) error { time.Sleep(time.Second); return nil }
		tt.mu.Unlock()
		s := static(3)
		s.StopTimeout = time.Second
		start := time.Now()
		tt.Configure(s)
		tt.WaitStable(context.Background())
		if got := time.Since(start); got != time.Second {
			t.Errorf("waited %v, want 1s", got)
		}
		tt.wantWorkers(3, 3)
	})
}

func TestReady(t *testing.T) {
	broken := errors.New("php-cgi is broken")
	t.Run("not open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tt := newTester(t, static(1))
			if err := tt.Ready(); err == nil {
				t.Error("got no error before Open")
			}
			if err := tt.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := tt.Ready(); err != nil {
				t.Error(err)
			}
			tt.close()
		})
	})
	t.Run("busy", func(t *testing.T) {
		run(t, static(1), func(tt *tester) {
			held := tt.acquire().wantLease()
			if err := tt.Ready(); err != nil {
				t.Error(err)
			}
			held.Release()
		})
	})
	t.Run("no workers", func(t *testing.T) {
		s := dynamic(0, 4, 0)
		s.Manager = OnDemand
		run(t, s, func(tt *tester) {
			time.Sleep(2 * time.Minute)
			tt.wantWorkers(0, 0)
			if err := tt.Ready(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("launches fail", func(t *testing.T) {
		run(t, static(1), func(tt *tester) {
			tt.refuse(broken)
			tt.proc(0).end()
			time.Sleep(time.Minute)
			if err := tt.Ready(); !errors.Is(err, broken) {
				t.Errorf("got %v, want the launch error", err)
			}
			tt.refuse(nil)
			time.Sleep(maxBackoff)
			tt.settle()
			if err := tt.Ready(); err != nil {
				t.Errorf("after the recovery: %v", err)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		run(t, static(1), func(tt *tester) {
			tt.close()
			if err := tt.Ready(); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want %v", err, ErrClosed)
			}
		})
	})
}
