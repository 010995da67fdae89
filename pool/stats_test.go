package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// theWorker returns the only worker.
func (tt *tester) theWorker() WorkerStats {
	tt.Helper()
	tt.settle()
	workers := tt.Workers()
	if len(workers) != 1 {
		tt.Fatalf("got %d workers, want 1", len(workers))
	}
	return workers[0]
}

func TestStats_LastRequest(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		if w := tt.theWorker(); w.Last != (Info{}) || w.LastDuration != 0 || w.BusyTime != 0 || w.Requests != 0 {
			t.Errorf("before the first request: got %+v", w)
		}
		info := Info{
			Method: "POST", URI: "/a/b", Query: "secret=1", User: "bob", ContentLength: 7, Script: "/a.php",
		}
		lease, err := tt.Acquire(context.Background(), info)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if w := tt.theWorker(); w.Request != info || w.Running != 3*time.Second || w.BusyTime != 3*time.Second || w.Last != (Info{}) {
			t.Errorf("during the request: got %+v", w)
		}
		lease.Release()
		time.Sleep(time.Second)
		w := tt.theWorker()
		if w.State != Idle || w.Request != (Info{}) || w.Last != info || w.LastDuration != 3*time.Second || w.BusyTime != 3*time.Second {
			t.Errorf("after the request: got %+v", w)
		}
		next := tt.acquire().wantLease()
		time.Sleep(2 * time.Second)
		if w := tt.theWorker(); w.Request.URI != "/" || w.Last != info || w.BusyTime != 5*time.Second {
			t.Errorf("during the next request: got %+v", w)
		}
		next.Release()
	})
}

func TestStats_QueuedRequest(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		first := tt.acquire().wantLease()
		second := tt.acquire()
		time.Sleep(2 * time.Second)
		first.Release()
		lease := second.wantLease()
		time.Sleep(time.Second)
		lease.Release()
		if w := tt.theWorker(); w.LastDuration != time.Second || w.BusyTime != 3*time.Second {
			t.Errorf("got %v for the last request and %v in all, want 1s and 3s", w.LastDuration, w.BusyTime)
		}
	})
}

func TestStats_HealthCheckIsNotARequest(t *testing.T) {
	s := static(1)
	s.HealthInterval = 5 * time.Second
	run(t, s, func(tt *tester) {
		lease := tt.acquire().wantLease()
		time.Sleep(time.Second)
		lease.Release()
		time.Sleep(time.Minute)
		if w := tt.theWorker(); w.Last.URI != "/" || w.LastDuration != time.Second || w.BusyTime != time.Second {
			t.Errorf("after a minute of health checks: got %+v", w)
		}
	})
}

func TestStats_AbandonedRequestIsNotLast(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		tt.acquire().wantLease().Release()
		before := tt.theWorker()
		// The request gets the worker, and then gives up.
		tt.Pool.mu.Lock()
		worker := tt.idle[0]
		tt.idle = nil
		wt := tt.getWaiterLocked(&Info{Method: "GET", URI: "/never"}, nil)
		tt.handOffLocked(worker, wt, tt.clock())
		tt.abandonWaiterLocked(wt)
		tt.Pool.mu.Unlock()
		if after := tt.theWorker(); after.Last != before.Last || after.BusyTime != before.BusyTime {
			t.Errorf("got %+v, want the previous request", after)
		}
	})
}

func TestStats_ReplacementStartsEmpty(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{fastcgitest.Stdout("X-A: b\r\n\r\n"), fastcgitest.Flush(), fastcgitest.Stall()}
		}
		ctx, leave := context.WithCancel(context.Background())
		_, free, err := tt.send(ctx, "/a.php", true)
		if err != nil {
			t.Fatal(err)
		}
		tt.proc(0).succeeded.Store(true)
		leave()
		free()
		time.Sleep(time.Second)
		if w := tt.theWorker(); w.Last != (Info{}) || w.BusyTime != 0 || w.PID == 1 {
			t.Errorf("got %+v, want no request of the previous process", w)
		}
	})
}

func TestStats_Snapshot(t *testing.T) {
	run(t, static(3), func(tt *tester) {
		held := tt.acquire().wantLease()
		s, workers := tt.Snapshot()
		if s.Workers.Idle != 2 || s.Workers.Busy != 1 || len(workers) != 3 {
			t.Errorf("got %+v and %d workers", s.Workers, len(workers))
		}
		if age := time.Since(workers[0].Started); age != workers[0].Age {
			t.Errorf("started %v ago, got age %v", age, workers[0].Age)
		}
		held.Release()
	})
}

func TestStats_RejectionsByReason(t *testing.T) {
	s := static(1)
	s.MaxQueue, s.MaxPerClient = 1, 1
	s.Quarantine = Quarantine{Crashes: 1, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		held, waiting := tt.acquireFor(crawler).wantLease(), tt.acquire()
		tt.acquire().wantError(ErrQueueFull)
		deferred := tt.acquireFor(crawler)
		for range 2 {
			tt.acquireFor(crawler).wantError(ErrClientLimit)
		}
		held.Release()
		waiting.wantLease().Release()
		deferred.wantLease().Release()

		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			tt.proc(-1).end()
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		if _, err := tt.do(context.Background(), "/bad.php", false); !errors.Is(err, ErrWorkerDied) {
			t.Errorf("got error %v, want ErrWorkerDied", err)
		}
		for range 3 {
			if _, err := tt.get("/bad.php"); !errors.Is(err, ErrQuarantined) {
				t.Errorf("got error %v, want ErrQuarantined", err)
			}
		}
		got, want := tt.Stats().Requests, Rejections{QueueFull: 1, ClientLimit: 2, Quarantined: 3}
		if got.Rejections != want || got.Rejected != 6 {
			t.Errorf("got %+v, %d in total, want %+v, 6 in total", got.Rejections, got.Rejected, want)
		}
	})
}

func TestStats_Restarts(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		want := func(event string, restarts, masterExits uint64) {
			t.Helper()
			tt.settle()
			if s := tt.Stats(); s.Restarts != restarts || s.MasterExits != masterExits {
				t.Errorf("%s: got %d restarts and %d master exits, want %d and %d",
					event, s.Restarts, s.MasterExits, restarts, masterExits)
			}
		}
		want("opened", 0, 0)
		if err := tt.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		want("restarted", 1, 0)
		tt.generation(1).die()
		want("the master exited", 1, 1)
		pr, err := tt.Prepare(context.Background(), tt.begin, static(1))
		if err != nil {
			t.Fatal(err)
		}
		want("prepared", 1, 1)
		if err := pr.Commit(); err != nil {
			t.Fatal(err)
		}
		want("committed", 2, 1)
		if pr, err = tt.Prepare(context.Background(), tt.begin, static(1)); err != nil {
			t.Fatal(err)
		}
		pr.Discard()
		want("discarded", 2, 1)
		tt.refuse(errors.New("bad ini"))
		if err := tt.Restart(context.Background()); err == nil {
			t.Error("the restart succeeded, want an error")
		}
		want("failed", 2, 1)
	})
}

// Starting the generation of an ondemand pool for a request is not a restart.
func TestStats_RestartsExcludeOnDemandStarts(t *testing.T) {
	s := static(1)
	s.Manager, s.IdleTimeout = OnDemand, time.Second
	run(t, s, func(tt *tester) {
		time.Sleep(time.Minute)
		tt.wantWorkers(0, 0)
		tt.acquire().wantLease().Release()
		if got := tt.Stats(); got.Generation != 2 || got.Restarts != 0 {
			t.Errorf("got %d restarts in generation %d, want 0 in generation 2", got.Restarts, got.Generation)
		}
	})
}
