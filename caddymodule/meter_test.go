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
		l := newManagedPool(pool.Config{Name: m.name, Start: m.start, Logger: zap.NewNop(), Settings: pool.Settings{
			Size: pool.Size{Manager: pool.Static, MaxWorkers: workers}, MaxQueue: 10, StopTimeout: time.Second,
		}}, spool.New("", 0), nil)
		if err := l.pool.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(l)
		l.close()
		synctest.Wait()
	})
}

// holdWorker keeps a worker busy for the time given.
func holdWorker(t *testing.T, l *managedPool, info pool.Info, took time.Duration) {
	t.Helper()
	lease, err := l.pool.Acquire(context.Background(), info)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(took)
	lease.Release()
}
