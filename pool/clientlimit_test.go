package pool

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

var (
	crawler  = netip.MustParseAddr("192.0.2.1")
	visitor  = netip.MustParseAddr("198.51.100.7")
	visitors = []netip.Addr{{}, crawler, visitor}
)

// limited returns the settings of a static pool of n workers with MaxPerClient.
func limited(n, limit int) Settings {
	s := static(n)
	s.MaxPerClient = limit
	return s
}

// checkClientsLocked compares the requests of each client with its counters.
func (tt *tester) checkClientsLocked() {
	tt.Helper()
	p := tt.Pool
	counted := map[*clientLimit]int{}
	for _, w := range p.workers {
		if w.lease.client == nil {
			continue
		}
		if counted[w.lease.client]++; w.state != Busy && w.state != Draining {
			tt.Fatalf("worker %d counts for a client as %v", w.id, w.state)
		}
	}
	for wt := p.queue.first; wt != nil; wt = wt.next {
		if wt.client != nil {
			counted[wt.client]++
		}
	}
	for cl, n := range counted {
		if p.clients[cl.client] != cl {
			tt.Fatalf("%d requests of %v are counted by a clientLimit that was removed", n, cl.client)
		}
	}
	held := 0
	for client, cl := range p.clients {
		held += cl.deferred.len
		if cl.active != counted[cl] {
			tt.Fatalf("client %v has %d active requests, counted %d", client, counted[cl], cl.active)
		}
		if cl.deferred.len > 0 && (p.settings.MaxPerClient == 0 || cl.active < p.settings.MaxPerClient) {
			tt.Fatalf("%d requests of %v are deferred although %d of %d are active", cl.deferred.len, client, cl.active, p.settings.MaxPerClient)
		}
	}
	if held != p.deferred {
		tt.Fatalf("%d requests are deferred, counted %d", held, p.deferred)
	}
}

// wantClients checks the number of clients that have counters.
func (tt *tester) wantClients(n int) {
	tt.Helper()
	tt.settle()
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.Pool.mu.Lock()
	defer tt.Pool.mu.Unlock()
	tt.checkClientsLocked()
	if got := len(tt.clients); got != n {
		tt.Fatalf("%d clients have counters, want %d", got, n)
	}
}

func TestClientLimit_Workers(t *testing.T) {
	run(t, limited(4, 2), func(tt *tester) {
		first, second := tt.acquireFor(crawler).wantLease(), tt.acquireFor(crawler).wantLease()
		third, fourth := tt.acquireFor(crawler), tt.acquireFor(crawler)
		third.wantWaiting()
		fourth.wantWaiting()
		tt.acquireFor(crawler).wantError(ErrClientLimit)
		if s := tt.Stats(); s.Requests.Rejected != 1 || s.Queue.Length != 2 || s.Workers.Idle != 2 {
			tt.Errorf("got %+v, want one rejected, two waiting and two workers idle", s)
		}
		// Other clients are not affected.
		other, unlimited := tt.acquireFor(visitor).wantLease(), tt.acquire().wantLease()
		first.Release()
		a := third.wantLease()
		fourth.wantWaiting()
		second.Release()
		b := fourth.wantLease()
		for _, l := range []Lease{a, b, other, unlimited} {
			l.Release()
		}
		tt.wantWorkers(4, 4)
		tt.wantClients(0)
	})
}

func TestClientLimit_DoesNotBlockOthers(t *testing.T) {
	run(t, limited(1, 1), func(tt *tester) {
		held := tt.acquireFor(crawler).wantLease()
		second := tt.acquireFor(crawler)
		other := tt.acquireFor(visitor)
		held.Release()
		second.wantWaiting()
		other.wantLease().Release()
		second.wantLease().Release()
		tt.wantClients(0)
	})
}

func TestClientLimit_LaunchesNoWorker(t *testing.T) {
	s := dynamic(1, 8, 2)
	s.MaxPerClient = 1
	run(t, s, func(tt *tester) {
		held := tt.acquireFor(crawler).wantLease()
		second := tt.acquireFor(crawler)
		second.wantWaiting()
		if got := tt.Stats().Launches; got != 1 {
			tt.Errorf("%d workers were launched, want 1", got)
		}
		held.Release()
		second.wantLease().Release()
	})
}

func TestClientLimit_DeferredGivesUp(t *testing.T) {
	run(t, limited(2, 1), func(tt *tester) {
		held := tt.acquireFor(crawler).wantLease()
		late := tt.acquireFor(crawler)
		time.Sleep(time.Minute)
		late.wantError(ErrQueueTimeout)
		gone := tt.acquireFor(crawler)
		gone.cancel()
		gone.wantError(context.Canceled)
		held.Release()
		tt.acquireFor(crawler).wantLease().Release()
		tt.wantClients(0)
	})
}

func TestClientLimit_QueuedGivesUp(t *testing.T) {
	run(t, limited(1, 1), func(tt *tester) {
		busy := tt.acquireFor(visitor).wantLease()
		queued, held := tt.acquireFor(crawler), tt.acquireFor(crawler)
		queued.cancel()
		queued.wantError(context.Canceled)
		held.wantWaiting()
		busy.Release()
		held.wantLease().Release()
		tt.wantClients(0)
	})
}

func TestClientLimit_DrainingWorkerCounts(t *testing.T) {
	run(t, limited(3, 1), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return append(fastcgitest.Response{fastcgitest.Sleep(5 * time.Second)}, fastcgitest.OK("late")...)
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		r := fastcgi.NewRequest()
		defer r.Free()
		if _, err := tt.Do(ctx, &Request{FastCGI: r, Info: Info{Client: crawler}}); !errors.Is(err, context.Canceled) {
			tt.Fatalf("got %v, want context.Canceled", err)
		}
		next := tt.acquireFor(crawler)
		next.wantWaiting()
		if s := tt.Stats().Workers; s.Draining != 1 {
			tt.Errorf("got %+v, want one draining", s)
		}
		time.Sleep(5 * time.Second)
		next.wantLease().Release()
		tt.wantClients(0)
	})
}

func TestClientLimit_CrashFreesPlace(t *testing.T) {
	run(t, limited(2, 1), func(tt *tester) {
		held := tt.acquireFor(crawler).wantLease()
		next := tt.acquireFor(crawler)
		next.wantWaiting()
		held.w.proc.Kill()
		tt.settle()
		held.Release()
		next.wantLease().Release()
		tt.wantClients(0)
	})
}

func TestClientLimit_Reconfigured(t *testing.T) {
	run(t, limited(4, 1), func(tt *tester) {
		first := tt.acquireFor(crawler).wantLease()
		second := tt.acquireFor(crawler)
		second.wantWaiting()
		s := limited(4, 2)
		s.StopTimeout = time.Second
		tt.Configure(s)
		a := second.wantLease()
		third := tt.acquireFor(crawler)
		third.wantWaiting()
		s.MaxPerClient = 0
		tt.Configure(s)
		b := third.wantLease()
		for _, l := range []Lease{first, a, b} {
			l.Release()
		}
		tt.wantClients(0)
	})
}

func TestClientLimit_Close(t *testing.T) {
	run(t, limited(2, 1), func(tt *tester) {
		lease := tt.acquireFor(crawler).wantLease()
		held := tt.acquireFor(crawler)
		closed := make(chan error)
		go func() { closed <- tt.Close(context.Background()) }()
		held.wantError(ErrClosed)
		lease.Release()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		tt.wantClients(0)
	})
}

func TestClientLimit_LaunchFails(t *testing.T) {
	run(t, limited(1, 1), func(tt *tester) {
		tt.mu.Lock()
		tt.launch = func(context.Context) error { time.Sleep(time.Second); return errors.New("no php") }
		tt.mu.Unlock()
		tt.proc(0).end()
		tt.settle()
		queued, held := tt.acquireFor(crawler), tt.acquireFor(crawler)
		held.wantWaiting()
		time.Sleep(5 * time.Second)
		for _, a := range []*acquiring{queued, held} {
			var failed *LaunchError
			if tt.settle(); !errors.As(a.err, &failed) {
				tt.Errorf("got %v, want a LaunchError", a.err)
			}
		}
		tt.wantClients(0)
	})
}

// BenchmarkAcquirePerClient leases with MaxPerClient set.
func BenchmarkAcquirePerClient(b *testing.B) {
	p := benchPool(b, 1)
	s := p.settings
	s.MaxPerClient = 4
	p.Configure(s)
	info := benchInfo
	info.Client = crawler
	b.ReportAllocs()
	for b.Loop() {
		l, err := p.Acquire(b.Context(), info)
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}

func TestClientLimit_QueueLength(t *testing.T) {
	run(t, limited(1, 2), func(tt *tester) {
		lease := tt.acquireFor(crawler).wantLease()
		waits := []*acquiring{tt.acquireFor(crawler), tt.acquireFor(crawler), tt.acquireFor(crawler)}
		if q := tt.Stats().Queue; q.Length != 3 || q.MaxLength != 3 {
			t.Errorf("got %+v, want one queued and two deferred", q)
		}
		waits[2].cancel()
		tt.settle()
		if q := tt.Stats().Queue; q.Length != 2 {
			t.Errorf("after one gave up: got %+v", q)
		}
		lease.Release()
		for _, w := range waits[:2] {
			w.wantLease().Release()
		}
		if q := tt.Stats().Queue; q.Length != 0 || q.MaxLength != 3 {
			t.Errorf("after all got a worker: got %+v", q)
		}
	})
}
