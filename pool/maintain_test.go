package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func dynamic(least, most, spare int) Settings {
	return Settings{
		Size:     Size{Manager: Dynamic, MinWorkers: least, StartWorkers: least, MaxWorkers: most, MaxSpare: spare, IdleTimeout: time.Minute},
		MaxQueue: 100, QueueTimeout: time.Minute, StartTimeout: 30 * time.Second,
	}
}

func TestDynamic_GrowsAndShrinks(t *testing.T) {
	run(t, dynamic(2, 16, 4), func(tt *tester) {
		tt.wantWorkers(2, 2)
		var burst []Lease
		for range 16 {
			burst = append(burst, tt.acquire().wantLease())
		}
		tt.wantWorkers(16, 0)
		over := tt.acquire()
		over.wantWaiting()
		for _, l := range burst {
			l.Release()
		}
		over.wantLease().Release()
		tt.wantWorkers(16, 16)
		time.Sleep(spareGrace + tickInterval)
		tt.wantWorkers(4, 4)
		time.Sleep(time.Minute)
		tt.wantWorkers(2, 2)
		time.Sleep(time.Hour)
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Workers.MaxBusy; got != 16 {
			t.Errorf("most busy: got %d, want 16", got)
		}
	})
}

func TestOnDemand_NoWorkersWhenIdle(t *testing.T) {
	s := dynamic(0, 4, 0)
	s.Manager, s.MasterIdleTimeout = OnDemand, 10*time.Minute
	run(t, s, func(tt *tester) {
		tt.wantWorkers(1, 1) // the test at load
		time.Sleep(time.Minute)
		tt.wantWorkers(0, 0)
		if tt.generation(0).closed.Load() {
			t.Error("the master has gone with the last worker, want it kept for a while")
		}
		time.Sleep(10 * time.Minute)
		tt.settle()
		if !tt.generation(0).closed.Load() {
			t.Error("the master is still there after master_idle_timeout")
		}
		tt.acquire().wantLease().Release()
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Generation; got != 2 {
			t.Errorf("generation: got %d, want 2", got)
		}
	})
}

func TestRecycle_MaxRequests(t *testing.T) {
	s := static(1)
	s.MaxRequests = 3
	run(t, s, func(tt *tester) {
		for range 9 {
			if _, err := tt.get("/a.php"); err != nil {
				t.Fatal(err)
			}
		}
		tt.settle()
		if got := tt.Stats().Exits[MaxRequests]; got != 3 {
			t.Errorf("exits by max_requests: got %d, want 3", got)
		}
	})
}

func TestRecycle_MaxAgeAndMaxMemory(t *testing.T) {
	s := static(1)
	s.MaxAge, s.MaxMemory = time.Hour, 100
	run(t, s, func(tt *tester) {
		time.Sleep(time.Hour + time.Hour/10)
		tt.settle()
		if got := tt.Stats().Exits[MaxAge]; got != 1 {
			t.Errorf("exits by max_age: got %d, want 1", got)
		}
		tt.proc(-1).memory.Store(101)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.settle()
		if got := tt.Stats().Exits[MaxMemory]; got != 1 {
			t.Errorf("exits by max_memory: got %d, want 1", got)
		}
		tt.wantWorkers(1, 1)
	})
}

func TestHealthCheck_Unresponsive(t *testing.T) {
	s := static(1)
	s.HealthInterval = 5 * time.Second
	run(t, s, func(tt *tester) {
		time.Sleep(time.Minute)
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits; len(got) != 0 {
			t.Fatalf("exits of a healthy pool: got %v, want none", got)
		}
		// Its connection is read by nobody any more, and does not end.
		deaf := tt.proc(0)
		go func() {
			<-deaf.done
		}()
		deaf.mute()
		time.Sleep(10 * time.Second)
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits[ProbeFailed]; got != 1 {
			t.Errorf("exits by probe_failed: got %d, want 1", got)
		}
	})
}

func TestLaunch_BackoffAndRecovery(t *testing.T) {
	run(t, dynamic(1, 4, 4), func(tt *tester) {
		broken := errors.New("no memory")
		tt.refuse(broken)
		tt.proc(0).end()
		time.Sleep(10 * time.Minute)
		if attempts := tt.attempts.Load(); attempts < 50 || attempts > 80 {
			t.Errorf("%d attempts in 10 minutes, want about one each 10 s", attempts)
		}
		a := tt.acquire()
		var launch *LaunchError
		if a.wantError(broken); !errors.As(a.err, &launch) || launch.RetryIn <= 0 {
			t.Errorf("got %v, want a LaunchError that says when to try again", a.err)
		}
		tt.refuse(nil)
		time.Sleep(maxBackoff)
		tt.wantWorkers(1, 1)
		if _, err := tt.get("/a.php"); err != nil {
			t.Errorf("after it recovered: %v", err)
		}
		if tt.Stats().LastFailure != nil {
			t.Error("the failure is still shown although the pool has recovered")
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

func TestHealthCheck_PoolStillShrinks(t *testing.T) {
	s := dynamic(0, 4, 0)
	s.Manager, s.MasterIdleTimeout, s.HealthInterval = OnDemand, 10*time.Minute, 5*time.Second
	run(t, s, func(tt *tester) {
		a, b := tt.acquire().wantLease(), tt.acquire().wantLease()
		a.Release()
		b.Release()
		time.Sleep(s.IdleTimeout / 2)
		tt.wantWorkers(2, 2)
		time.Sleep(s.IdleTimeout)
		tt.wantWorkers(0, 0)
	})
}

func TestHealthCheck_CountsAsIdle(t *testing.T) {
	s := static(1)
	s.HealthInterval, s.MaxQueue = 5*time.Second, 0
	run(t, s, func(tt *tester) {
		tt.proc(0).mute()
		time.Sleep(6 * time.Second)
		if got := tt.Stats().Workers; got.Busy != 0 || got.Idle != 1 {
			t.Errorf("while a worker is probed: got %+v, want it idle", got)
		}
		if got := tt.Stats().Requests.Total; got != 0 {
			t.Errorf("requests: got %d, want 0", got)
		}
		// Nobody may wait, but this one only waits for the probe.
		a := tt.acquire()
		a.wantWaiting()
		time.Sleep(healthCheckTimeout)
		a.wantLease().Release()
	})
}

func TestDrain_StoppedWhenRequestsWait(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		hang := make(chan struct{})
		defer close(hang)
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return fastcgitest.Answer{fastcgitest.Wait(hang)}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		tt.do(ctx, "/a.php", true) // the client leaves
		// Nobody waits: it may run on.
		time.Sleep(time.Hour)
		tt.wantWorkers(1, 0)
		if got := tt.proc(0).soft.Load(); got != 0 {
			t.Errorf("asked to end %d times although nobody waits", got)
		}
		next := tt.acquire()
		next.wantWaiting()
		time.Sleep(2*tickInterval + killDelay)
		next.wantLease().Release()
		if got := tt.proc(0).soft.Load(); got != 1 {
			t.Errorf("asked to end %d times, want once before it was killed", got)
		}
		if got := tt.Stats().Exits[Abandoned]; got != 1 {
			t.Errorf("exits: got %v, want one abandoned", tt.Stats().Exits)
		}
	})
}
