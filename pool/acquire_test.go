package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcquire_LastUsedFirst(t *testing.T) {
	run(t, static(3), func(tt *tester) {
		a := tt.acquire().wantLease()
		b := tt.acquire().wantLease()
		a.Release()
		c := tt.acquire().wantLease()
		if c.w != a.w {
			t.Errorf("got worker %d, want %d, which was released last", c.w.id, a.w.id)
		}
		b.Release()
		c.Release()
	})
}

func TestQueue_FIFO(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		first, second := tt.acquire(), tt.acquire()
		first.wantWaiting()
		held.Release()
		second.wantWaiting()
		first.wantLease().Release()
		second.wantLease().Release()
		tt.wantWorkers(1, 1)
	})
}

func TestQueue_GivesUp(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		gone, next := tt.acquire(), tt.acquire()
		gone.cancel()
		gone.wantError(context.Canceled)
		held.Release()
		next.wantLease().Release()
		if got := tt.Stats().Queue.Length; got != 0 {
			t.Errorf("queue length: got %d, want 0", got)
		}
	})
}

func TestQueue_GivesUpWhileServed(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		// The waiter gets a worker and is canceled at the same time. Whichever the
		// select sees, the worker must be available again.
		for range 50 {
			w := tt.acquire()
			held.Release()
			w.cancel()
			tt.settle()
			if w.err == nil {
				w.lease.Release()
			}
			held = tt.acquire().wantLease()
		}
		held.Release()
		tt.wantWorkers(1, 1)
	})
}

func TestLease_ReleaseTwice(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		a := tt.acquire().wantLease()
		a.Release()
		b := tt.acquire().wantLease()
		a.Release()
		c := tt.acquire()
		c.wantWaiting()
		b.Release()
		c.wantLease().Release()
	})
}

func TestQueue_Full(t *testing.T) {
	s := static(1)
	s.MaxQueue = 2
	run(t, s, func(tt *tester) {
		held := tt.acquire().wantLease()
		one, two := tt.acquire(), tt.acquire()
		tt.acquire().wantError(ErrQueueFull)
		held.Release()
		one.wantLease().Release()
		two.wantLease().Release()
		if got := tt.Stats().Requests.Rejected; got != 1 {
			t.Errorf("rejected: got %d, want 1", got)
		}
	})
}

func TestQueue_Timeout(t *testing.T) {
	s := static(1)
	s.QueueTimeout = 5 * time.Second
	run(t, s, func(tt *tester) {
		held := tt.acquire().wantLease()
		a := tt.acquire()
		time.Sleep(4999 * time.Millisecond)
		a.wantWaiting()
		time.Sleep(time.Millisecond)
		a.wantError(ErrQueueTimeout)
		held.Release()
		tt.wantWorkers(1, 1)
	})
}

func TestQueue_BeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := static(1)
		s.MaxQueue = 0
		tt := newTester(t, s)
		early := tt.acquire()
		early.wantWaiting()
		if err := tt.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		early.wantLease().Release()
		tt.close()
	})
}

func TestAcquire_ClosedIdleConnection(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Fatalf("got %q, %v", body, err)
		}
		// The connection is closed while the process runs.
		tt.proc(0).server.Close() // a pipe
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Fatalf("after the connection was closed: got %q, %v", body, err)
		}
	})
}
