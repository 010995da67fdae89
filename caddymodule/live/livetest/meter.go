package livetest

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

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Meter launches workers that are only measured: nothing is sent to them.
type Meter struct {
	Reads   atomic.Int64 // of a worker's memory
	Memory  atomic.Int64
	CPU     atomic.Int64
	Unknown bool
	Name    string

	mu      sync.Mutex
	workers []*meteredWorker
}

func (m *Meter) start(context.Context, int) (pool.Launcher, error) { return m, nil }

func (m *Meter) Launch(context.Context) (pool.Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &meteredWorker{meter: m, pid: 100 + len(m.workers), done: make(chan struct{})}
	w.conn, w.peer = net.Pipe()
	m.workers = append(m.workers, w)
	return w, nil
}

func (m *Meter) HealthCheck(context.Context, *fastcgi.Conn) error { return nil }
func (m *Meter) Slots() int                                       { return 0 }
func (m *Meter) Done() <-chan struct{}                            { return nil }
func (m *Meter) Close(context.Context) error {
	for _, w := range m.workers {
		w.end()
	}
	return nil
}

type meteredWorker struct {
	inert
	meter      *Meter
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
func (w *meteredWorker) CPU() time.Duration         { return time.Duration(w.meter.CPU.Load()) }

func (w *meteredWorker) Drain(context.Context) (pool.Process, error) {
	w.end()
	return nil, net.ErrClosed
}

func (w *meteredWorker) Memory() (int64, error) {
	w.meter.Reads.Add(1)
	if w.meter.Unknown {
		return 0, errors.ErrUnsupported
	}
	return w.meter.Memory.Load(), nil
}

// RunMetered runs f in a bubble with a pool of that many workers.
func RunMetered(t *testing.T, m *Meter, workers int, f func(l *live.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := live.New(pool.Config{Name: m.Name, Start: m.start, Logger: zap.NewNop(), Settings: pool.Settings{
			Size: pool.Size{Manager: pool.Static, MaxWorkers: workers}, MaxQueue: 10, StopTimeout: time.Second,
		}}, spool.New("", 0), nil)
		if err := l.Pool.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(l)
		l.Close()
		synctest.Wait()
	})
}

// HoldWorker keeps a worker busy for the time given.
func HoldWorker(t *testing.T, l *live.Pool, info pool.Info, took time.Duration) {
	t.Helper()
	lease, err := l.Pool.Acquire(context.Background(), info)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(took)
	lease.Release()
}
