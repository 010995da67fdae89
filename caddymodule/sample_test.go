package caddymodule

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// meter launches workers that are only measured: nothing is sent to them.
type meter struct {
	reads   atomic.Int64 // of a worker's memory
	memory  atomic.Int64
	cpu     atomic.Int64
	unknown bool
	name    string

	mu      sync.Mutex
	workers []*meteredWorker
}

func (m *meter) start(context.Context, int) (pool.Launcher, error) { return m, nil }

func (m *meter) Launch(context.Context) (pool.Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &meteredWorker{meter: m, pid: 100 + len(m.workers), done: make(chan struct{})}
	w.conn, w.peer = net.Pipe()
	m.workers = append(m.workers, w)
	return w, nil
}

func (m *meter) HealthCheck(context.Context, *fastcgi.Conn) error { return nil }
func (m *meter) Slots() int                                       { return 0 }
func (m *meter) Done() <-chan struct{}                            { return nil }
func (m *meter) Close(context.Context) error {
	for _, w := range m.workers {
		w.end()
	}
	return nil
}

type meteredWorker struct {
	inert
	meter      *meter
	pid        int
	conn, peer net.Conn
	done       chan struct{}
	once       sync.Once
}

func (w *meteredWorker) end() {
	w.once.Do(func() {
		w.peer.Close()
		close(w.done)
	})
}

func (w *meteredWorker) Conn() net.Conn             { return w.conn }
func (w *meteredWorker) PID() int                   { return w.pid }
func (w *meteredWorker) Done() <-chan struct{}      { return w.done }
func (w *meteredWorker) Stop(context.Context) error { w.end(); return nil }
func (w *meteredWorker) Kill() error                { w.end(); return nil }
func (w *meteredWorker) SoftTimeout() error         { return nil }
func (w *meteredWorker) CPU() time.Duration         { return time.Duration(w.meter.cpu.Load()) }

func (w *meteredWorker) Drain(context.Context) (pool.Process, error) {
	w.end()
	return nil, net.ErrClosed
}

func (w *meteredWorker) Memory() (int64, error) {
	w.meter.reads.Add(1)
	if w.meter.unknown {
		return 0, errors.ErrUnsupported
	}
	return w.meter.memory.Load(), nil
}

// metered runs f in a bubble with a pool of that many workers.
func metered(t *testing.T, m *meter, workers int, f func(l *managedPool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &managedPool{name: "test", spool: spool.New("", 0), logger: zap.NewNop()}
		l.pool = pool.New(pool.Config{Name: m.name, Start: m.start, Settings: pool.Settings{
			Size: pool.Size{Manager: pool.Static, MaxWorkers: workers}, MaxQueue: 10, StopTimeout: time.Second,
		}})
		if err := l.pool.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(l)
		if err := l.pool.Close(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// httpRequest keeps a worker busy for the time given.
func (l *managedPool) request(t *testing.T, info pool.Info, took time.Duration) {
	t.Helper()
	lease, err := l.pool.Acquire(context.Background(), info)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(took)
	lease.Release()
}

func TestWorkersAreMeasuredOnceASecondHoweverManyAsk(t *testing.T) {
	m := new(meter)
	m.memory.Store(3 << 20)
	metered(t, m, 4, func(l *managedPool) {
		for range 1000 {
			got := describePool(l, detail{workers: true})
			if got.Memory == nil || *got.Memory != 12<<20 || got.MemoryHuman != "12 MiB" {
				t.Fatalf("got %v bytes (%s), want 12 MiB", got.Memory, got.MemoryHuman)
			}
			statusPage(l, true, false)
		}
		if n := m.reads.Load(); n != 4 {
			t.Errorf("memory was read %d times, want once for each of 4 workers", n)
		}
		m.memory.Store(5 << 20)
		time.Sleep(sampleInterval)
		if got := describePool(l, detail{}); *got.Memory != 20<<20 || m.reads.Load() != 8 {
			t.Errorf("a second later: got %d bytes after %d reads", *got.Memory, m.reads.Load())
		}
	})
}

// The short page of php-fpm tells nothing that has to be measured.
func TestTheShortStatusMeasuresNothing(t *testing.T) {
	m := new(meter)
	metered(t, m, 4, func(l *managedPool) { statusPage(l, false, false) })
	if n := m.reads.Load(); n != 0 {
		t.Errorf("memory was read %d times", n)
	}
}

func TestMemoryThatTheSystemDoesNotTellIsLeftOut(t *testing.T) {
	metered(t, &meter{unknown: true}, 2, func(l *managedPool) {
		got := describePool(l, detail{workers: true})
		if got.Memory != nil || got.MemoryHuman != "" || got.WorkersList[0].Memory != nil {
			t.Errorf("got %v, want none", got.Memory)
		}
	})
}

func TestTheShareOfTheProcessorIsOfTheTimeForRequests(t *testing.T) {
	m := new(meter)
	metered(t, m, 1, func(l *managedPool) {
		share := func() float64 {
			time.Sleep(sampleInterval)
			return l.sampler.sample(l.pool)[1].share
		}
		step := func(what string, took, cpu time.Duration, want float64) {
			t.Helper()
			l.request(t, pool.Info{Method: "GET"}, took)
			m.cpu.Add(int64(cpu))
			if got := share(); got != want {
				t.Errorf("%s: got %v %%, want %v %%", what, got, want)
			}
		}
		if got := share(); got != 0 {
			t.Errorf("before the first request: got %v %%", got)
		}
		step("the first request, short as it is", 40*time.Millisecond, 10*time.Millisecond, 25)
		step("enough to go by", 360*time.Millisecond, 190*time.Millisecond, 50)
		step("too little to be told from nothing", 50*time.Millisecond, 0, 50)
		step("together with that enough", 150*time.Millisecond, 200*time.Millisecond, 100)
		step("more than there is", 100*time.Millisecond, time.Second, 100)
	})
}
