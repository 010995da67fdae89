package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func onDemand(maxWorkers int) Settings {
	return Settings{
		Size:     Size{Manager: OnDemand, MaxWorkers: maxWorkers, IdleTimeout: time.Minute, MasterIdleTimeout: time.Hour},
		MaxQueue: 100, QueueTimeout: time.Minute, StartTimeout: 30 * time.Second,
	}
}

// poolSet is several pools that share a limit.
type poolSet struct {
	*testing.T
	total *TotalLimit
	pools []*tester
}

// runPools runs f in a synctest bubble over open pools that share a limit.
func runPools(t *testing.T, limit int, settings []Settings, f func(lt *poolSet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lt := &poolSet{T: t, total: new(TotalLimit)}
		lt.total.SetMax(limit)
		for _, s := range settings {
			tt := newLimitedTester(t, s, lt.total)
			lt.pools = append(lt.pools, tt)
			if err := tt.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		f(lt)
		for _, tt := range lt.pools {
			tt.close()
		}
		synctest.Wait()
		if n, _ := lt.total.Usage(); n != 0 || len(lt.total.waiting) != 0 {
			t.Errorf("%d workers are counted after Close, and %d pools wait", n, len(lt.total.waiting))
		}
		time.Sleep(time.Second) // for handlers that still run
	})
}

// alive returns the number of processes of all pools, and checks that the limit counts
// the same.
func (lt *poolSet) alive() int {
	lt.Helper()
	synctest.Wait()
	n := 0
	for _, tt := range lt.pools {
		n += tt.alive()
	}
	if used, _ := lt.total.Usage(); used != n {
		lt.Errorf("the limit counts %d workers, there are %d", used, n)
	}
	return n
}

func (lt *poolSet) wantAlive(want int) {
	lt.Helper()
	if n := lt.alive(); n != want {
		lt.Fatalf("got %d workers of all pools, want %d", n, want)
	}
}

func TestTotalLimit_Bound(t *testing.T) {
	runPools(t, 6, []Settings{dynamic(1, 10, 10), dynamic(1, 10, 10), onDemand(10)}, func(lt *poolSet) {
		for _, tt := range lt.pools {
			tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
				return append(fastcgitest.Response{fastcgitest.Sleep(time.Second)}, fastcgitest.OK("hello")...)
			}
		}
		var wg sync.WaitGroup
		for _, tt := range lt.pools {
			for range 20 {
				wg.Go(func() {
					if _, err := tt.get("/a.php"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		lt.wantAlive(6)
		if s := lt.pools[0].Stats().AllPools; s.Max != 6 || s.Workers != 6 || !s.Limited {
			t.Errorf("got %+v", s)
		}
		if n := lt.pools[0].logged.FilterMessageSnippet("max_workers_total").Len(); n != 1 {
			t.Errorf("the log has it %d times", n)
		}
		for range 8 {
			time.Sleep(time.Second)
			if n := lt.alive(); n > 6 {
				t.Fatalf("got %d workers", n)
			}
		}
		wg.Wait()
		if s := lt.pools[0].Stats().AllPools; s.Limited {
			t.Errorf("got %+v after the last request", s)
		}
	})
}

// A pool without workers gets one when another pool releases one, although requests
// wait there.
func TestTotalLimit_PoolWithoutWorkers(t *testing.T) {
	runPools(t, 2, []Settings{onDemand(10), onDemand(10)}, func(lt *poolSet) {
		hog, other := lt.pools[0], lt.pools[1]
		first, second := hog.acquire(), hog.acquire()
		lease := first.wantLease()
		second.wantLease()
		third := hog.acquire()
		third.wantWaiting()
		starved := other.acquire()
		starved.wantWaiting()
		lt.wantAlive(2)

		lease.Release()
		served := starved.wantLease()
		third.wantWaiting()
		lt.wantAlive(2)
		second.wantLease().Release() // it has one worker, and so has the other
		third.wantLease().Release()
		served.Release()
		lt.wantAlive(2)
	})
}

// The first worker of a generation that a request starts has its turn as others have.
func TestTotalLimit_FirstWorkerOfGeneration(t *testing.T) {
	for name, fails := range map[string]bool{"starts": false, "fails": true} {
		t.Run(name, func(t *testing.T) {
			runPools(t, 2, []Settings{onDemand(10), onDemand(10)}, func(lt *poolSet) {
				hog, other := lt.pools[0], lt.pools[1]
				time.Sleep(2 * time.Hour) // neither has a generation now
				lt.wantAlive(0)
				first, second := hog.acquire(), hog.acquire()
				first.wantLease()
				third, starved := hog.acquire(), other.acquire()
				if other.mu.Lock(); fails {
					other.startErr = errors.New("no")
				}
				other.mu.Unlock()
				second.wantLease().Release()
				if fails {
					third.wantLease().Release()
					if n := lt.alive(); n > 2 {
						t.Errorf("got %d workers", n)
					}
				} else {
					served := starved.wantLease()
					third.wantWaiting()
					lt.wantAlive(2)
					served.Release()
				}
				first.wantLease().Release()
				if !fails {
					third.wantLease().Release()
				}
			})
		})
	}
}

// Idle workers above the minimum of their pool are stopped for the requests of others,
// those that have been idle longest first.
func TestTotalLimit_IdleWorkersOfOthers(t *testing.T) {
	runPools(t, 4, []Settings{dynamic(1, 4, 4), onDemand(4), onDemand(4)}, func(lt *poolSet) {
		first, second, third := lt.pools[0], lt.pools[1], lt.pools[2]
		// The two that are ondemand have started one for a test.
		a, b := second.acquire().wantLease(), second.acquire().wantLease()
		lt.wantAlive(4)
		a.Release()
		time.Sleep(time.Second)
		b.Release()
		time.Sleep(time.Second)
		lease := first.acquire().wantLease()
		next := first.acquire() // that of third has been idle longest
		next.wantLease()
		lt.wantAlive(4)
		third.wantWorkers(0, 0)
		second.wantWorkers(2, 2)
		third.acquire().wantLease().Release()
		lt.wantAlive(4)
		second.wantWorkers(1, 1)
		first.acquire().wantLease().Release()
		lt.wantAlive(4)
		lease.Release()
		next.wantLease().Release()
	})
}

// A pool keeps its minimum, whatever waits elsewhere.
func TestTotalLimit_MinimumStays(t *testing.T) {
	runPools(t, 3, []Settings{static(2), onDemand(3)}, func(lt *poolSet) {
		lease := lt.pools[1].acquire().wantLease()
		next := lt.pools[1].acquire()
		next.wantWaiting()
		lt.pools[0].wantWorkers(2, 2)
		lt.pools[0].acquire().wantLease().Release()
		lt.pools[0].wantWorkers(2, 2)
		next.wantWaiting()
		lease.Release()
		next.wantLease().Release()
		lt.wantAlive(3)
		// A crashed worker of a minimum is replaced before others grow.
		lt.pools[0].proc(0).end()
		lt.pools[0].wantWorkers(2, 2)
	})
}

// The next generation starts with one worker above the limit, and gets the others as
// the workers of the last one exit.
func TestTotalLimit_Restart(t *testing.T) {
	runPools(t, 4, []Settings{static(4)}, func(lt *poolSet) {
		tt := lt.pools[0]
		most := 0
		tt.mu.Lock()
		tt.launch = func(context.Context) error {
			most = max(most, tt.alive()+1)
			return nil
		}
		tt.mu.Unlock()
		busy := tt.acquire().wantLease()
		if err := tt.Restart(lt.Context()); err != nil {
			t.Fatal(err)
		}
		tt.WaitStable(lt.Context())
		tt.wantWorkers(4, 3) // one of the old generation is busy
		if lt.alive(); most > 5 {
			t.Errorf("%d workers at the same time", most)
		}
		busy.Release()
		tt.wantWorkers(4, 4)
		if most > 5 {
			t.Errorf("%d workers at the same time", most)
		}
	})
}

// WaitStable does not wait for what the limit does not allow.
func TestTotalLimit_WaitStable(t *testing.T) {
	runPools(t, 2, []Settings{dynamic(1, 4, 4), static(1)}, func(lt *poolSet) {
		s := static(4)
		s.StopTimeout = time.Second
		lt.pools[0].Configure(s) // no config would: the minima are above the limit
		start := time.Now()
		lt.pools[0].WaitStable(lt.Context())
		if d := time.Since(start); d > 0 {
			t.Errorf("it took %v", d)
		}
		lt.wantAlive(2)
	})
}

func TestTotalLimit_Changed(t *testing.T) {
	runPools(t, 0, []Settings{dynamic(1, 8, 8), dynamic(1, 8, 8)}, func(lt *poolSet) {
		var leases []Lease
		for _, tt := range lt.pools {
			for range 4 {
				leases = append(leases, tt.acquire().wantLease())
			}
		}
		lt.wantAlive(8)
		leases[0].Release()
		leases[1].Release()
		lt.total.SetMax(4)
		lt.wantAlive(6) // the idle ones have stopped
		for _, l := range leases[2:] {
			l.Release()
		}
		lt.wantAlive(4)
		leases = nil
		for range 3 {
			leases = append(leases, lt.pools[0].acquire().wantLease())
		}
		waiting := lt.pools[0].acquire()
		waiting.wantWaiting()
		lt.wantAlive(4)
		lt.total.SetMax(5)
		waiting.wantLease().Release()
		more := lt.pools[0].acquire()
		more.wantLease().Release()
		lt.total.SetMax(0)
		for _, l := range leases {
			l.Release()
		}
	})
}

// A pool that is closed, or whose launches fail, lets the next one have its turn.
func TestTotalLimit_TurnOfTheNext(t *testing.T) {
	runPools(t, 1, []Settings{onDemand(2), onDemand(2), onDemand(2)}, func(lt *poolSet) {
		time.Sleep(2 * time.Minute) // those that were started as a test are gone
		busy := lt.pools[0].acquire().wantLease()
		failing := errors.New("no")
		lt.pools[1].refuse(failing)
		first := lt.pools[1].acquire()
		second := lt.pools[2].acquire()
		lt.wantAlive(1)
		busy.Release()
		time.Sleep(10 * time.Second)
		second.wantLease().Release()
		first.cancel()
		lt.pools[1].refuse(nil)

		busy = lt.pools[0].acquire().wantLease()
		closed := lt.pools[1].acquire()
		second = lt.pools[2].acquire()
		lt.pools[1].close()
		closed.wantError(ErrClosed)
		busy.Release()
		second.wantLease().Release()
	})
}

// TestTotalLimit_Random sends requests to many pools that restart, crash and change.
func TestTotalLimit_Random(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var settings []Settings
		minimum := 0
		for range 2 + r.IntN(5) {
			s := []Settings{onDemand(1 + r.IntN(4)), dynamic(1, 1+r.IntN(5), 2), static(1 + r.IntN(2))}[r.IntN(3)]
			minimum += s.Minimum()
			settings = append(settings, s)
		}
		limit := minimum + 1 + r.IntN(4)
		runPools(t, limit, settings, func(lt *poolSet) {
			var wg sync.WaitGroup
			for _, tt := range lt.pools {
				tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
					return append(fastcgitest.Response{fastcgitest.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)}, fastcgitest.OK("hello")...)
				}
				for range 1 + r.IntN(6) {
					wg.Go(func() {
						for range 30 {
							time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
							if _, err := tt.get("/a.php"); err != nil && !errors.Is(err, ErrWorkerDied) {
								t.Errorf("seed %d: %v", seed, err)
							}
						}
					})
				}
				if r.IntN(2) == 0 {
					wg.Go(func() {
						for range 5 {
							time.Sleep(200 * time.Millisecond)
							if err := tt.Restart(lt.Context()); err != nil {
								t.Errorf("seed %d: restart: %v", seed, err)
							}
						}
					})
				}
			}
			done := make(chan struct{})
			go func() {
				wg.Wait()
				close(done)
			}()
			for {
				time.Sleep(7 * time.Millisecond)
				if n, _ := lt.total.Usage(); n > limit+len(settings) {
					t.Fatalf("seed %d: %d workers with limit %d and %d pools", seed, n, limit, len(settings))
				}
				select {
				case <-done:
					if n := lt.alive(); n > limit {
						t.Errorf("seed %d: %d workers with limit %d", seed, n, limit)
					}
					return
				default:
				}
			}
		})
	}
}
