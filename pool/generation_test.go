package pool

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestRestart_NewGenerationFirst(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		held := tt.acquire().wantLease()
		if err := tt.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		tt.settle()
		if tt.generation(0).closed.Load() {
			t.Error("the old generation was closed during a request")
		}
		fresh := tt.acquire().wantLease()
		if got := fresh.w.gen.number; got != 2 {
			t.Errorf("a new request got generation %d, want 2", got)
		}
		fresh.Release()
		held.Release()
		tt.settle()
		if !tt.generation(0).closed.Load() {
			t.Error("the old generation was not closed after its last request")
		}
		tt.wantWorkers(2, 2)
	})
}

func TestRestart_Fails(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		broken := errors.New("bad ini")
		tt.refuse(broken)
		if err := tt.Restart(context.Background()); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Generation; got != 1 {
			t.Errorf("generation: got %d, want 1", got)
		}
		if !tt.generation(1).closed.Load() {
			t.Error("the generation that failed was not closed")
		}
	})
}

func TestGeneration_MasterExits(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		held := tt.acquire().wantLease()
		tt.generation(0).die()
		tt.settle()
		if got := tt.Stats().Generation; got != 2 {
			t.Errorf("generation: got %d, want 2", got)
		}
		if tt.generation(0).closed.Load() {
			t.Error("the old generation was closed during a request")
		}
		held.Release()
		tt.settle()
		if !tt.generation(0).closed.Load() {
			t.Error("the old generation was not closed")
		}
		tt.wantWorkers(2, 2)
		exits := tt.logged.FilterMessage("master process exited; starting a new generation").All()
		if len(exits) != 1 || exits[0].ContextMap()["retry_in"] != nil {
			t.Errorf("got log entries %v, want one without a delay", exits)
		}
		if active := tt.logged.FilterMessage("new generation active").Len(); active != 1 {
			t.Errorf("%d log entries say that a new generation is active, want 1", active)
		}
	})
}

func TestRestart_KeepsNewWorkers(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		one, two := tt.acquire().wantLease(), tt.acquire().wantLease()
		if err := tt.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		tt.wantWorkers(4, 2)
		three := tt.acquire().wantLease()
		three.Release()
		one.Release()
		two.Release()
		tt.wantWorkers(2, 2)
		if got := len(tt.procs); got != 4 {
			t.Errorf("%d processes have been launched, want 4", got)
		}
	})
}

func TestRestart_SurplusStopped(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		one, two := tt.acquire().wantLease(), tt.acquire().wantLease()
		if err := tt.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * spareGrace)
		tt.wantWorkers(2, 0)
		one.Release()
		tt.wantWorkers(2, 1)
		two.Release()
		tt.wantWorkers(2, 2)
	})
}

func TestRestart_ServesWaitingRequests(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		one, two := tt.acquire().wantLease(), tt.acquire().wantLease()
		first, second := tt.acquire(), tt.acquire()
		second.wantWaiting()
		if err := tt.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		third := tt.acquire()
		for _, waiting := range []*acquiring{first, second} {
			waiting.wantLease()
		}
		third.wantWaiting()
		first.lease.Release()
		third.wantLease().Release()
		second.lease.Release()
		one.Release()
		two.Release()
		tt.wantWorkers(2, 2)
	})
}

func TestGeneration_ExtraSlots(t *testing.T) {
	s := static(1)
	run(t, s, func(tt *tester) {
		if got := tt.generation(0).slots; got < 2 {
			t.Errorf("slots: got %d, want one more than workers", got)
		}
	})
}

func TestRestart_KeepsNewerSettings(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		ready := make(chan struct{})
		tt.mu.Lock()
		tt.launch = func(context.Context) error { <-ready; return nil }
		tt.mu.Unlock()
		restarted := make(chan error)
		go func() { restarted <- tt.Restart(context.Background()) }()
		tt.settle()
		s := static(1)
		s.StopTimeout = time.Second
		tt.Configure(s)
		close(ready)
		if err := <-restarted; err != nil {
			t.Fatal(err)
		}
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Workers.Max; got != 1 {
			t.Errorf("max: got %d, want 1", got)
		}
	})
}

// runWithFailures runs f over an ondemand pool without MasterIdleTimeout. Its only
// worker has exited while a request waits, after so many failures that the next
// launch is delayed.
func runWithFailures(t *testing.T, failures int, f func(tt *tester, waits *acquiring)) {
	t.Helper()
	s := static(1)
	s.Manager, s.MasterIdleTimeout, s.IdleTimeout = OnDemand, 0, time.Minute
	run(t, s, func(tt *tester) {
		first := tt.acquire().wantLease()
		waits := tt.acquire()
		tt.Pool.mu.Lock()
		for range failures {
			tt.failures.add(time.Now(), tt.failures.serial)
		}
		tt.Pool.mu.Unlock()
		tt.proc(0).end()
		first.Release()
		f(tt, waits)
	})
}

func TestGeneration_KeptWhileRequestWaits(t *testing.T) {
	runWithFailures(t, immediateRetries+1, func(tt *tester, waits *acquiring) {
		p := tt.Pool
		p.mu.Lock()
		next, gone := p.nextTickLocked(p.clock()), p.gen == nil
		p.mu.Unlock()
		if next == 0 || gone {
			t.Errorf("the next tick is in %v, want not before the next launch is allowed", next)
			waits.cancel() // or the fake clock would never advance
			return
		}
		time.Sleep(time.Second)
		waits.wantLease().Release()
	})
}

func TestGeneration_RetiredWhenLastWaiterGivesUp(t *testing.T) {
	runWithFailures(t, immediateRetries+6, func(tt *tester, waits *acquiring) {
		tt.settle()
		waits.cancel()
		tt.settle()
		p := tt.Pool
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.gen != nil {
			t.Error("the generation was not retired although no request waits")
		}
	})
}
