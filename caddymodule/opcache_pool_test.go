package caddymodule

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// fakePHP is a generation whose workers answer with handler.
type fakePHP struct {
	handler func(*fastcgitest.Request) fastcgitest.Answer
	done    chan struct{}
}

func (f *fakePHP) Launch(context.Context) (pool.Process, error) {
	client, server := net.Pipe()
	go fastcgitest.Serve(server, f.handler) // it ends as it ends
	return &fakeWorker{conn: client, done: make(chan struct{})}, nil
}

func (f *fakePHP) Probe(ctx context.Context, c *fastcgi.Conn) error { return c.Probe(ctx) }
func (f *fakePHP) Slots() int                                       { return 0 }
func (f *fakePHP) Done() <-chan struct{}                            { return f.done }
func (f *fakePHP) Close(context.Context) error                      { return nil }

type fakeWorker struct {
	inert
	conn net.Conn
	done chan struct{}
}

func (w *fakeWorker) Conn() net.Conn                              { return w.conn }
func (w *fakeWorker) PID() int                                    { return 42 }
func (w *fakeWorker) Done() <-chan struct{}                       { return w.done }
func (w *fakeWorker) Stop(context.Context) error                  { return w.Kill() }
func (w *fakeWorker) SoftTimeout() error                          { return errors.ErrUnsupported }
func (w *fakeWorker) Drain(context.Context) (pool.Process, error) { return nil, errors.ErrUnsupported }

func (w *fakeWorker) Memory() (int64, error) { return 0, errors.ErrUnsupported }
func (w *fakeWorker) CPU() time.Duration     { return 0 }

func (w *fakeWorker) Kill() error {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	return w.conn.Close()
}

// fakePool is an open pool of workers that answer with handler.
func fakePool(t *testing.T, workers int, handler func(*fastcgitest.Request) fastcgitest.Answer) *livePool {
	t.Helper()
	l := &livePool{name: "fake", logger: zap.NewNop(), spec: &spec{spawn: spawnShared, options: new(PoolOptions)}}
	l.pool = pool.New(pool.Config{
		Start: func(context.Context, int) (pool.Launcher, error) {
			return &fakePHP{handler, make(chan struct{})}, nil
		},
		Settings: pool.Settings{Size: pool.Size{Manager: pool.Static, Min: workers, Start: workers, Max: workers}, StopTimeout: time.Second},
	})
	if err := l.pool.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// closePool ends a fake pool.
func (l *livePool) closePool(t *testing.T) {
	t.Helper()
	if err := l.pool.Close(t.Context()); err != nil {
		t.Error(err)
	}
	l.opcache.close()
}

func TestWhoTakesASampleDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		ready := make(chan struct{}, 10)
		l := fakePool(t, 1, func(r *fastcgitest.Request) fastcgitest.Answer {
			asked.Add(1)
			if _, err := os.Stat(r.Params["SCRIPT_FILENAME"]); err != nil {
				t.Errorf("the helper is not there while it is run: %v", err)
			}
			q := &question{script: r.Params["SCRIPT_FILENAME"]}
			return append(fastcgitest.Answer{fastcgitest.Wait(ready)},
				fastcgitest.OK("\n"+q.token()+"\n"+`{"status": {"opcache_statistics": {"hits": 7}}}`)...)
		})
		defer l.closePool(t)
		took := func(hits int64, ok bool, questions int32) {
			t.Helper()
			began := time.Now()
			for range 1000 {
				if s, got := l.opcacheSample(); got != ok || s.Hits != hits {
					t.Fatalf("got %+v, %t; want %d hits, %t", s, got, hits, ok)
				}
			}
			synctest.Wait()
			if asked.Load() != questions || time.Since(began) != 0 {
				t.Fatalf("%d questions, %v of waiting, want %d and none (%+v)", asked.Load(), time.Since(began), questions, l.describeOPcache())
			}
		}
		took(0, false, 1) // the question is on its way
		took(0, false, 1)
		ready <- struct{}{}
		synctest.Wait()
		took(7, true, 1)
		time.Sleep(opcacheEvery)
		took(7, true, 2) // the last one, until there is another
		if got := l.pool.Stats(); got.Requests.Total != 0 || got.Workers.Idle != 1 {
			t.Errorf("got %+v, want no request and an idle worker", got)
		}
		ready <- struct{}{}
		synctest.Wait()
	})
}
