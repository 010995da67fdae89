package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// check verifies the invariants of the pool.
func (tt *tester) check() {
	tt.Helper()
	p := tt.Pool
	p.mu.Lock()
	defer p.mu.Unlock()
	var counted [states]int
	current := 0 // workers of the current generation that are not stopping
	inUse := map[*generation]int{}
	for _, w := range p.workers {
		counted[w.state]++
		inUse[w.gen]++
		if w.gen == p.gen && w.state != Stopping {
			current++
		}
	}
	if current > tt.maxWorkers {
		tt.Fatalf("%d workers, want at most %d", current, tt.maxWorkers)
	}
	for s := range State(states) {
		if s != Gone && counted[s] != p.inState[s] {
			tt.Fatalf("%v: got %d workers, counted %d", s, counted[s], p.inState[s])
		}
	}
	internal := 0
	for _, w := range p.workers {
		if w.lease.kind == internalLease && w.state == Busy {
			internal++
		}
	}
	if internal != p.internalLeases {
		tt.Fatalf("%d workers have an internal lease, counted %d", internal, p.internalLeases)
	}
	seen := map[*worker]bool{}
	for _, w := range p.idle {
		if seen[w] || w.state != Idle {
			tt.Fatalf("worker %d is in the idle list (twice: %t) in state %v", w.id, seen[w], w.state)
		}
		if w.lease != (leaseState{}) {
			tt.Fatalf("worker %d is idle and has the lease %+v", w.id, w.lease)
		}
		seen[w] = true
	}
	if len(p.idle) != counted[Idle] {
		tt.Fatalf("%d workers are idle, the list has %d", counted[Idle], len(p.idle))
	}
	if p.queue.len > 0 && len(p.idle) > 0 {
		tt.Fatalf("%d requests wait while %d workers are idle", p.queue.len, len(p.idle))
	}
	tt.checkClientsLocked()
	// The launches of a generation that has failed are not counted in starting.
	if g := p.gen; g != nil && !g.failed {
		if want := inUse[g] + p.starting; g.inUse > want {
			tt.Fatalf("generation %d: %d slots in use, want at most %d", g.number, g.inUse, want)
		}
		if g.slots > 0 && g.inUse > g.slots {
			tt.Fatalf("generation %d: %d in use of %d slots", g.number, g.inUse, g.slots)
		}
	}
}

// leases detects a worker that is leased twice at the same time.
type leases struct {
	mu   sync.Mutex
	held map[*worker]bool
}

func (l *leases) take(t *testing.T, w *worker) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[w] {
		t.Errorf("worker %d is leased twice", w.id)
	}
	l.held[w] = true
}

func (l *leases) give(w *worker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, w)
}

// TestStress does everything at random, for an hour of the fake clock.
func TestStress(t *testing.T) {
	for _, s := range []Settings{static(5), dynamic(1, 8, 2), func() Settings {
		s := dynamic(0, 6, 0)
		s.Manager, s.IdleTimeout, s.MasterIdleTimeout = OnDemand, 2*time.Second, 5*time.Second
		return s
	}(), func() Settings {
		s := dynamic(1, 6, 2)
		s.MaxPerClient = 2
		return s
	}()} {
		t.Run(string(s.Manager), func(t *testing.T) {
			s.MaxRequests, s.MaxRequestsJitter, s.HealthInterval = 20, 5, 5*time.Second
			s.RequestTimeout, s.MaxQueue = 3*time.Second, 50
			run(t, s, func(tt *tester) { stress(tt, s) })
		})
	}
}

func stress(tt *tester, s Settings) {
	const steps, clients = 3000, 12
	tt.mu.Lock()
	tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
		return append(fastcgitest.Response{fastcgitest.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)},
			fastcgitest.OK("hello")...)
	}
	tt.mu.Unlock()
	all := &leases{held: map[*worker]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { client(ctx, tt, all) })
	}
	for range steps {
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		disturb(tt, s)
		tt.check()
	}
	cancel()
	wg.Wait()
	synctest.Wait()
	tt.check()
	if st := tt.Stats(); st.Workers.Busy != 0 || st.Queue.Length != 0 {
		tt.Errorf("after the last request: got %+v", st)
	}
}

// client leases and releases workers, sends requests, and sometimes gives up.
func client(ctx context.Context, tt *tester, all *leases) {
	for ctx.Err() == nil {
		limit, done := context.WithTimeout(ctx, time.Duration(1+rand.IntN(400))*time.Millisecond)
		if n := rand.IntN(5); n == 0 {
			tt.query(0) // it may fail
		} else if n < 3 {
			tt.do(limit, "/a.php", rand.IntN(2) == 0) // it may fail
		} else if l, err := tt.Acquire(limit, Info{Client: visitors[rand.IntN(len(visitors))]}); err == nil {
			all.take(tt.T, l.w)
			time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
			all.give(l.w)
			l.Release()
		}
		done()
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	}
}

// disturb does one random thing to the pool.
func disturb(tt *tester, s Settings) {
	switch rand.IntN(40) {
	case 0, 1, 2:
		if workers := tt.Workers(); len(workers) > 0 {
			workers[rand.IntN(len(workers))].Process.(*fakeProcess).end()
		}
	case 3:
		tt.Restart(context.Background()) // it cannot fail with the fakes
	case 4:
		s.MaxWorkers = max(1, s.MaxWorkers-rand.IntN(4))
		s.MinWorkers, s.StartWorkers = min(s.MinWorkers, s.MaxWorkers), min(s.StartWorkers, s.MaxWorkers)
		s.StopTimeout = time.Second
		if s.MaxPerClient > 0 {
			s.MaxPerClient = rand.IntN(4) // 0 removes the limit
		}
		tt.Configure(s)
	case 5:
		tt.Recycle(tt.lastWorkerID.Load(), rand.IntN(2) == 0) // it may have exited
	case 6:
		tt.mu.Lock()
		g := tt.generations[len(tt.generations)-1]
		tt.mu.Unlock()
		g.die()
	}
}
