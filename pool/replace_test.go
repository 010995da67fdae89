package pool

import (
	"context"
	"errors"
	"testing"
	"time"
)

// stick makes the launches of the first generation hang, as when its master is
// stopped, and its workers exit.
func (tt *tester) stick() {
	tt.generation(0).stuck.Store(true)
	tt.mu.Lock()
	procs := tt.procs
	tt.mu.Unlock()
	for _, p := range procs {
		p.end()
	}
	tt.settle()
}

func (tt *tester) wantGeneration(want int) {
	tt.Helper()
	tt.settle()
	if got := tt.Stats().Generation; got != want {
		tt.Errorf("generation: got %d, want %d", got, want)
	}
}

// failStarts makes starts of generations fail with err, or succeed again if it is nil.
func (tt *tester) failStarts(err error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.startErr = err
}

func TestReplace_HangingMaster(t *testing.T) {
	s := static(2)
	s.StartTimeout = 30 * time.Second
	run(t, s, func(tt *tester) {
		tt.stick()
		a := tt.acquire()
		a.wantWaiting()
		time.Sleep(hangTimeout)
		a.wantLease().Release()
		tt.wantGeneration(2)
		tt.wantWorkers(2, 2)
		if g := tt.generation(0); !g.closed.Load() || !g.killed.Load() {
			t.Errorf("the hanging generation: closed %v, killed %v, want both", g.closed.Load(), g.killed.Load())
		}
	})
}

// The next generation cannot start beside the hanging one at first.
func TestReplace_HangingMasterStartFails(t *testing.T) {
	s := static(2)
	s.StartTimeout = 30 * time.Second
	run(t, s, func(tt *tester) {
		tt.stick()
		tt.failStarts(errors.New("no memory"))
		time.Sleep(10 * time.Minute)
		tt.failStarts(nil)
		a := tt.acquire()
		time.Sleep(maxBackoff)
		a.wantLease().Release()
		tt.wantWorkers(2, 2)
		if n := tt.started(); n > 100 {
			t.Errorf("%d starts in 10 minutes, want about one per 10 s", n)
		}
	})
}

// Launches time out although workers serve: these serve until they are replaced.
func TestReplace_HangingMasterWithWorkers(t *testing.T) {
	s := static(2)
	s.StartTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		tt.generation(0).stuck.Store(true)
		tt.proc(0).end()
		held := tt.acquire().wantLease()
		time.Sleep(10 * time.Second)
		tt.wantGeneration(2)
		if tt.generation(0).closed.Load() {
			t.Error("the old generation was closed during a request")
		}
		held.Release()
		tt.wantWorkers(2, 2)
		if st := tt.Stats(); !tt.generation(0).closed.Load() || st.MasterExits != 1 || st.Restarts != 0 {
			t.Errorf("got closed %v, %d exits of masters, %d restarts, want true, 1 and 0", tt.generation(0).closed.Load(), st.MasterExits, st.Restarts)
		}
	})
}

// A single launch that times out does not replace a master that has launched
// another worker meanwhile.
func TestReplace_OneLaunchTimesOut(t *testing.T) {
	s := static(2)
	s.StartTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		hang := true
		tt.mu.Lock()
		tt.launch = func(ctx context.Context) error {
			tt.mu.Lock()
			hangs := hang
			hang = false
			tt.mu.Unlock()
			if hangs {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		tt.mu.Unlock()
		tt.proc(0).end()
		time.Sleep(time.Second)
		tt.proc(1).end()
		time.Sleep(10 * time.Second)
		tt.wantWorkers(2, 2)
		tt.wantGeneration(1)
	})
}

// Launches of a retired generation do not hold up those of the next one.
func TestRestart_HangingMaster(t *testing.T) {
	s := static(2)
	s.StartTimeout = 30 * time.Second
	run(t, s, func(tt *tester) {
		tt.stick()
		if err := tt.Restart(tt.Context()); err != nil {
			t.Fatal(err)
		}
		tt.proc(-1).end()
		tt.wantWorkers(2, 2) // no time has passed
		if !tt.generation(0).closed.Load() {
			t.Error("the old generation is not closed")
		}
	})
}

// Master and workers are killed together, and launches fail before the exit of the
// master is noticed.
func TestReplace_AllKilled(t *testing.T) {
	run(t, static(8), func(tt *tester) {
		first := tt.generation(0)
		tt.mu.Lock()
		tt.launch = func(context.Context) error {
			select {
			case <-first.done:
				return nil
			default:
			}
			time.Sleep(time.Millisecond) // all launches are on their way
			first.die()
			return errors.New("php-cgi exited (signal: killed)")
		}
		tt.mu.Unlock()
		for i := range 8 {
			tt.proc(i).end()
		}
		a := tt.acquire()
		time.Sleep(time.Millisecond)
		a.wantLease().Release()
		tt.wantWorkers(8, 8)
		if st := tt.Stats(); st.LastFailure != nil || st.MasterExits != 1 || tt.logged.FilterMessage("cannot launch a worker; retrying").Len() != 0 {
			t.Errorf("got failure %v and %d exits of masters, want none and 1", st.LastFailure, st.MasterExits)
		}
	})
}

// The master exits and the next one cannot start: the workers serve on.
func TestReplace_WorkersServeMeanwhile(t *testing.T) {
	s := static(2)
	s.MaxRequests = 5
	run(t, s, func(tt *tester) {
		tt.failStarts(errors.New("no such file"))
		tt.generation(0).die()
		for range 60 {
			tt.acquire().wantLease().Release()
			time.Sleep(10 * time.Second)
		}
		tt.wantWorkers(2, 2)
		if n := tt.started(); n > 80 {
			t.Errorf("%d starts in 10 minutes, want about one per 10 s", n)
		}
		held := tt.acquire().wantLease()
		tt.failStarts(nil)
		time.Sleep(maxBackoff)
		tt.wantGeneration(tt.started())
		held.Release()
		tt.wantWorkers(2, 2)
		if !tt.generation(0).closed.Load() {
			t.Error("the old generation is not closed")
		}
		if st := tt.Stats(); st.Exits[Crashed] != 0 || st.Restarts != 0 || st.MasterExits != 1 {
			t.Errorf("got exits %v, %d restarts, %d exits of masters; want no crash, 0 and 1", st.Exits, st.Restarts, st.MasterExits)
		}
	})
}

// The workers of a failed generation exit one after the other.
func TestReplace_LastWorkerExits(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.failStarts(errors.New("no such file"))
		tt.generation(0).die()
		tt.settle()
		tt.proc(0).end()
		tt.wantWorkers(1, 1)
		tt.proc(1).end()
		tt.wantWorkers(0, 0)
		if !tt.generation(0).closed.Load() {
			t.Error("the generation without workers is not closed")
		}
		tt.failStarts(nil)
		time.Sleep(maxBackoff)
		tt.wantWorkers(2, 2)
	})
}

// The master has signaled its children to stop: they must get no more requests.
func TestReplace_WorkersStopping(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.failStarts(errors.New("no such file"))
		tt.generation(0).stopping.Store(true)
		tt.generation(0).die()
		tt.wantWorkers(0, 0)
		if !tt.generation(0).closed.Load() {
			t.Error("the generation is not closed")
		}
		tt.failStarts(nil)
		time.Sleep(maxBackoff)
		tt.wantWorkers(2, 2)
	})
}

// A restart proves that workers can be launched again.
func TestRestart_EndsBackoff(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.refuse(errors.New("no memory"))
		tt.proc(0).end()
		tt.proc(1).end()
		time.Sleep(time.Minute)
		tt.refuse(nil)
		if err := tt.Restart(tt.Context()); err != nil {
			t.Fatal(err)
		}
		tt.proc(-1).end()
		tt.wantWorkers(2, 2) // no time has passed
		if tt.Stats().LastFailure != nil {
			t.Error("LastFailure is still set")
		}
	})
}
