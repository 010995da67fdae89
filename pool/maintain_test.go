package pool

import (
	"context"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

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
			t.Errorf("maximum busy: got %d, want 16", got)
		}
	})
}

func TestOnDemand_NoWorkersWhenIdle(t *testing.T) {
	s := dynamic(0, 4, 0)
	s.Manager, s.MasterIdleTimeout = OnDemand, 10*time.Minute
	run(t, s, func(tt *tester) {
		tt.wantWorkers(1, 1) // the initial worker
		time.Sleep(time.Minute)
		tt.wantWorkers(0, 0)
		if tt.generation(0).closed.Load() {
			t.Error("the master was closed with the last worker, want it kept for master_idle_timeout")
		}
		time.Sleep(10 * time.Minute)
		tt.settle()
		if !tt.generation(0).closed.Load() {
			t.Error("the master was not closed after master_idle_timeout")
		}
		tt.acquire().wantLease().Release()
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Generation; got != 2 {
			t.Errorf("generation: got %d, want 2", got)
		}
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
		// The process does not read its connection any more, and does not exit.
		deaf := tt.proc(0)
		go func() {
			<-deaf.done
		}()
		deaf.mute()
		time.Sleep(10 * time.Second)
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits[Unresponsive]; got != 1 {
			t.Errorf("exits by unresponsive: got %d, want 1", got)
		}
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
			t.Errorf("during a health check: got %+v, want it idle", got)
		}
		if got := tt.Stats().Requests.Total; got != 0 {
			t.Errorf("requests: got %d, want 0", got)
		}
		// MaxQueue is 0, but this request waits only for the health check.
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
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{fastcgitest.Wait(hang)}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		tt.do(ctx, "/a.php", true) // the client disconnects
		// No request waits: the script may run on.
		time.Sleep(time.Hour)
		tt.wantWorkers(1, 0)
		if got := tt.proc(0).soft.Load(); got != 0 {
			t.Errorf("%d soft timeouts although no request waits", got)
		}
		next := tt.acquire()
		next.wantWaiting()
		time.Sleep(2*tickInterval + killDelay)
		next.wantLease().Release()
		if got := tt.proc(0).soft.Load(); got != 1 {
			t.Errorf("%d soft timeouts, want 1 before the kill", got)
		}
		if got := tt.Stats().Exits[Abandoned]; got != 1 {
			t.Errorf("exits: got %v, want one abandoned", tt.Stats().Exits)
		}
	})
}
