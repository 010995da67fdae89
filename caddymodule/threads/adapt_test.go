package threads

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A limit follows the load. Nothing is measured from a pause until the next request.
func TestAdapt(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	synctest.Test(t, func(t *testing.T) {
		var idle atomic.Bool
		var measured atomic.Int64
		measure := func() (sample, bool) {
			measured.Add(1)
			if idle.Load() {
				return trickle(0), true
			}
			return hello1(runtime.GOMAXPROCS(0)), true
		}
		quit, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			adapt(2, measure, quit)
		}()
		want := func(what string, n int) {
			t.Helper()
			synctest.Wait()
			if got := runtime.GOMAXPROCS(0); got != n {
				t.Errorf("%s: got GOMAXPROCS %d, want %d", what, got, n)
			}
		}
		time.Sleep(5 * slice)
		want("hello", 1)

		idle.Store(true)
		time.Sleep(time.Second)
		want("pause", 2)
		n := measured.Load()
		time.Sleep(time.Hour)
		if got := measured.Load(); got != n {
			t.Errorf("measured %d times in an hour without requests, want 0", got-n)
		}

		idle.Store(false)
		Request()
		time.Sleep(5 * slice)
		want("hello again", 1)

		idle.Store(true)
		time.Sleep(time.Second)
		close(quit)
		<-ended
		if sleeper.Load() != nil {
			t.Error("a request would wake what has ended")
		}
	})
}
