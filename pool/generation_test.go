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
			t.Error("the old generation was closed under a request")
		}
		fresh := tt.acquire().wantLease()
		if got := fresh.w.gen.number; got != 2 {
			t.Errorf("a new request got generation %d, want 2", got)
		}
		fresh.Release()
		held.Release()
		tt.settle()
		if !tt.generation(0).closed.Load() {
			t.Error("the old generation is left after its last request")
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

func TestPrepare_Discard(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		bigger := static(5)
		bigger.StopTimeout = time.Second
		pr, err := tt.Prepare(context.Background(), tt.begin, bigger)
		if err != nil {
			t.Fatal(err)
		}
		tt.wantWorkers(2, 2)
		pr.Discard()
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Workers.Max; got != 2 {
			t.Errorf("max: got %d, want 2", got)
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
			t.Error("its orphans were ended under a request")
		}
		held.Release()
		tt.settle()
		if !tt.generation(0).closed.Load() {
			t.Error("its orphans were not ended")
		}
		tt.wantWorkers(2, 2)
	})
}

func TestConfigure_SmallerPool(t *testing.T) {
	run(t, static(4), func(tt *tester) {
		held := tt.acquire().wantLease()
		s := static(1)
		s.StopTimeout = time.Second
		if !tt.HasCapacityFor(&s) {
			t.Error("a smaller pool does not fit the generation")
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

func TestHasCapacityFor_LargerPool(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		s := static(200)
		if tt.HasCapacityFor(&s) {
			t.Error("200 workers fit a generation that was started for 2")
		}
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

func TestRecycle_AfterRequest(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		held := tt.acquire().wantLease()
		if err := tt.Recycle(held.w.id, false); err != nil {
			t.Fatal(err)
		}
		tt.wantWorkers(2, 1)
		held.Release()
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Exits[Recycled]; got != 1 {
			t.Errorf("exits: got %v, want one recycled", tt.Stats().Exits)
		}
		if err := tt.Recycle(9999, false); !errors.Is(err, ErrNoWorker) {
			t.Errorf("a worker that does not exist: got %v, want ErrNoWorker", err)
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

func TestClose_WaiterGivesUp(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		held := tt.acquire().wantLease()
		// It is served, and leaves before it has seen that.
		ctx, cancel := context.WithCancel(context.Background())
		p := tt.Pool
		p.mu.Lock()
		wt := p.getWaiterLocked(&Info{}, nil)
		limit, err := p.enqueueLocked(wt, false)
		p.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		held.Release()
		cancel()
		closed := make(chan error)
		go func() { closed <- tt.Close(context.Background()) }()
		tt.settle()
		// Whichever of the two it sees first, the worker comes back.
		if l, err := p.await(ctx, wt, p.clock(), limit); err == nil {
			l.Release()
		}
		if err := <-closed; err != nil {
			t.Error(err)
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
		began := time.Now()
		tt.Configure(s)
		tt.WaitStable(context.Background())
		if got := time.Since(began); got != time.Second {
			t.Errorf("waited %v, want 1s", got)
		}
		tt.wantWorkers(3, 3)
	})
}
