package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func static(n int) Settings {
	return Settings{Size: Size{Manager: Static, MaxWorkers: n}, MaxQueue: 10, QueueTimeout: time.Minute}
}

func TestOpen_StaticPool(t *testing.T) {
	run(t, static(3), func(tt *tester) { tt.wantWorkers(3, 3) })
}

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
			t.Errorf("%d still in line, want 0", got)
		}
	})
}

func TestQueue_GivesUpWhileServed(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		// The waiter is served and cancelled in the same instant; whichever the
		// select sees, the worker must not be lost.
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
			t.Errorf("refused: got %d, want 1", got)
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

func TestWorker_ExitsWhileIdle(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.proc(0).end()
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Exits[Crashed]; got != 1 {
			t.Errorf("exits by crash: got %d, want 1", got)
		}
	})
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
			t.Errorf("closing: %v", err)
		}
	})
}

func TestClose_Timeout(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		began := time.Now()
		if err := tt.Close(ctx); err == nil {
			t.Error("closing with a running request: got no error, want one")
		}
		tt.wantCloseError = true
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("closing took %v, want 4s", took)
		}
		held.Release()
	})
}

func TestAcquire_ClosedIdleConnection(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Fatalf("got %q, %v", body, err)
		}
		// The connection ends without the process ending.
		tt.proc(0).server.Close() // a pipe
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Fatalf("after the connection ended: got %q, %v", body, err)
		}
	})
}

func TestDrain_ClientDisconnects(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		hang := make(chan struct{})
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return fastcgitest.Answer{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nab"), fastcgitest.Wait(hang), fastcgitest.End()}
		}
		x, free, err := tt.begun(context.Background(), "/a.php", true)
		if err != nil {
			t.Fatal(err)
		}
		_ = x
		free() // the client leaves before the end
		tt.wantWorkers(1, 0)
		if got := tt.Stats().Workers.Draining; got != 1 {
			t.Errorf("draining: got %d, want 1", got)
		}
		next := tt.acquire()
		next.wantWaiting()
		close(hang)
		time.Sleep(drainGrace)
		next.wantLease().Release()
	})
}
