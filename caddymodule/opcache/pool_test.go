package opcache

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

// fakePHP is a generation whose workers respond with handler.
type fakePHP struct {
	handler func(*fastcgitest.Request) fastcgitest.Response
	done    chan struct{}
}

func (f *fakePHP) Launch(context.Context) (pool.Process, error) {
	client, server := net.Pipe()
	go fastcgitest.Serve(server, f.handler) // the error does not matter
	return &fakeWorker{conn: client, done: make(chan struct{})}, nil
}

func (f *fakePHP) HealthCheck(ctx context.Context, c *fastcgi.Conn) error { return c.Ping(ctx) }
func (f *fakePHP) Slots() int                                             { return 0 }
func (f *fakePHP) Done() <-chan struct{}                                  { return f.done }
func (f *fakePHP) WorkersStay() bool                                      { return false }
func (f *fakePHP) Close(context.Context) error                            { return nil }

type fakeWorker struct {
	conn net.Conn
	done chan struct{}
}

func (w *fakeWorker) Conn() *fastcgi.Conn                         { return fastcgi.NewConn(w.conn) }
func (w *fakeWorker) PID() int                                    { return 42 }
func (w *fakeWorker) Done() <-chan struct{}                       { return w.done }
func (w *fakeWorker) Stop(context.Context) error                  { return w.Kill() }
func (w *fakeWorker) SoftTimeout() error                          { return errors.ErrUnsupported }
func (w *fakeWorker) Drain(context.Context) (pool.Process, error) { return nil, errors.ErrUnsupported }

func (w *fakeWorker) ExitStatus() string                   { return "" }
func (w *fakeWorker) LeftGroup() bool                      { return false }
func (w *fakeWorker) ScriptEnd() (text string, ended bool) { return "", false }
func (w *fakeWorker) Activity(int) (pool.Activity, error) {
	return pool.Activity{}, errors.ErrUnsupported
}

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

// fakeCache returns the Cache of an open pool whose workers respond with handler.
func fakeCache(t *testing.T, workers int, handler func(*fastcgitest.Request) fastcgitest.Response) *Cache {
	t.Helper()
	p := pool.New(pool.Config{
		Start: func(context.Context, int) (pool.Launcher, error) {
			return &fakePHP{handler, make(chan struct{})}, nil
		},
		Settings: pool.Settings{Size: pool.Size{Manager: pool.Static, MinWorkers: workers, StartWorkers: workers, MaxWorkers: workers}, StopTimeout: time.Second},
	})
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return New(p, zap.NewNop(), func() (Scope, error) { return ScopePool, nil }, func(string) error { return nil })
}

// closePool closes the pool of fakeCache.
func (c *Cache) closePool(t *testing.T) {
	t.Helper()
	if err := c.pool.Close(t.Context()); err != nil {
		t.Error(err)
	}
	c.Close()
}

// helperOutput returns the response of the helper script with these
// opcache_statistics.
func helperOutput(r *fastcgitest.Request, status string) fastcgitest.Response {
	run := &scriptRun{script: r.Params["SCRIPT_FILENAME"]}
	return fastcgitest.OK("\n" + run.token() + "\n" + `{"status": {"opcache_statistics": ` + status + `}}`)
}

func TestCacheShared_DoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var queries atomic.Int32
		ready := make(chan struct{}, 10)
		c := fakeCache(t, 1, func(r *fastcgitest.Request) fastcgitest.Response {
			queries.Add(1)
			if _, err := os.Stat(r.Params["SCRIPT_FILENAME"]); err != nil {
				t.Errorf("the helper script does not exist while it runs: %v", err)
			}
			return append(fastcgitest.Response{fastcgitest.Wait(ready)}, helperOutput(r, `{"hits": 7}`)...)
		})
		defer c.closePool(t)
		check := func(hits int64, wantQueries int32) {
			t.Helper()
			start := time.Now()
			for range 1000 {
				if s := c.Shared(); (s != nil) != (hits > 0) || s != nil && s.Hits != hits {
					t.Fatalf("got %+v, want %d hits", s, hits)
				}
			}
			synctest.Wait()
			if queries.Load() != wantQueries || time.Since(start) != 0 {
				t.Fatalf("got %d queries after %v, want %d after 0s (%+v)", queries.Load(), time.Since(start), wantQueries, c.Describe())
			}
		}
		check(0, 1) // the query is running
		check(0, 1)
		ready <- struct{}{}
		synctest.Wait()
		check(7, 1)
		time.Sleep(sampleInterval)
		check(7, 2) // the last sample until the new one is available
		if got := c.pool.Stats(); got.Requests.Total != 0 || got.Workers.Idle != 1 {
			t.Errorf("got %+v, want no request and an idle worker", got)
		}
		ready <- struct{}{}
		synctest.Wait()
	})
}

func TestCache_SampleOfCurrentGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fakeCache(t, 1, func(r *fastcgitest.Request) fastcgitest.Response { return helperOutput(r, `{"hits": 7}`) })
		defer c.closePool(t)
		<-c.Refresh()
		if s := c.Shared(); s == nil || s.Hits != 7 {
			t.Errorf("got %+v, want 7 hits", s)
		}
		if err := c.pool.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := c.Describe(); got.Available || got.Reason != errNoSample.Error() {
			t.Errorf("after a restart: got %+v, want no sample before a query", got)
		}
		<-c.Refresh()
		c.scope = func() (Scope, error) { return ScopeWorker, nil }
		if s := c.Shared(); s != nil {
			t.Errorf("each worker has its own cache: got %+v, want nil", s)
		}
		if got := c.Describe(); !got.Available || got.Scope != ScopeWorker || got.Generation != 2 {
			t.Errorf("got %+v, want the sample of one worker", got)
		}
		c.scope = func() (Scope, error) { return "", errors.New("not yet") }
		if got := c.Describe(); c.Shared() != nil || got.Available || got.Reason != "not yet" {
			t.Errorf("before the start: got %+v", got)
		}
	})
}
