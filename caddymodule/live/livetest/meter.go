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

// Meter sets the memory and CPU time that the workers of [RunMetered] report. The
// zero value is ready to use.
type Meter struct {
	Name    string       // of the pool
	Reads   atomic.Int64 // counts how often a worker's memory was read
	Memory  atomic.Int64 // of each worker, in bytes
	CPU     atomic.Int64 // of each worker, a time.Duration
	Unknown bool         // reading the memory returns errors.ErrUnsupported
}

// meteredPHP launches workers that run no requests.
type meteredPHP struct {
	meter   *Meter
	mu      sync.Mutex
	workers []*meteredWorker
}

func (m *meteredPHP) start(context.Context, int) (pool.Launcher, error) { return m, nil }

func (m *meteredPHP) Launch(context.Context) (pool.Process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &meteredWorker{meter: m.meter, pid: 100 + len(m.workers), done: make(chan struct{})}
	w.conn, w.peer = net.Pipe()
	m.workers = append(m.workers, w)
	return w, nil
}

func (m *meteredPHP) HealthCheck(context.Context, *fastcgi.Conn) error { return nil }
func (m *meteredPHP) Slots() int                                       { return 0 }
func (m *meteredPHP) Done() <-chan struct{}                            { return nil }
func (m *meteredPHP) WorkersStay() bool                                { return false }
func (m *meteredPHP) Close(context.Context) error {
	for _, w := range m.workers {
		w.exit()
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

func (w *meteredWorker) exit() {
	w.once.Do(func() {
		w.peer.Close()
		close(w.done)
	})
}

func (w *meteredWorker) Conn() *fastcgi.Conn        { return fastcgi.NewConn(w.conn) }
func (w *meteredWorker) PID() int                   { return w.pid }
func (w *meteredWorker) Done() <-chan struct{}      { return w.done }
func (w *meteredWorker) Stop(context.Context) error { w.exit(); return nil }
func (w *meteredWorker) Kill() error                { w.exit(); return nil }
func (w *meteredWorker) SoftTimeout() error         { return nil }
func (w *meteredWorker) LeftGroup() bool            { return false }
func (w *meteredWorker) CPU() time.Duration         { return time.Duration(w.meter.CPU.Load()) }

func (w *meteredWorker) Drain(context.Context) (pool.Process, error) {
	w.exit()
	return nil, net.ErrClosed
}

func (w *meteredWorker) Memory() (int64, error) {
	w.meter.Reads.Add(1)
	if w.meter.Unknown {
		return 0, errors.ErrUnsupported
	}
	return w.meter.Memory.Load(), nil
}

// RunMetered runs f with an open static pool in a synctest bubble.
func RunMetered(t *testing.T, m *Meter, workers int, f func(p *live.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		php := &meteredPHP{meter: m}
		p := live.New(pool.Config{Name: m.Name, Start: php.start, Logger: zap.NewNop(), Settings: pool.Settings{
			Size: pool.Size{Manager: pool.Static, MaxWorkers: workers}, MaxQueue: 10, StopTimeout: time.Second,
		}}, spool.New("", 0), nil)
		if err := p.Pool.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(p)
		p.Close()
		synctest.Wait()
	})
}

// HoldWorker holds a worker for the duration d.
func HoldWorker(t *testing.T, p *live.Pool, info pool.Info, d time.Duration) {
	t.Helper()
	lease, err := p.Pool.Acquire(context.Background(), info)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(d)
	lease.Release()
}
