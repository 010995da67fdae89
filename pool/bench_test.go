package pool

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// benchPool returns a pool of n workers that respond over real sockets.
func benchPool(tb testing.TB, n int) *Pool {
	tb.Helper()
	p := New(Config{Name: "bench", Start: func(context.Context, int) (Launcher, error) {
		return &socketLauncher{b: tb, done: make(chan struct{})}, nil
	}, Settings: Settings{
		Size: Size{Manager: Static, MaxWorkers: n}, MaxQueue: 1 << 20, StopTimeout: time.Second,
		Limits: Limits{HealthInterval: 5 * time.Second}, SlowRequest: 5 * time.Second,
	}})
	if err := p.Open(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close(context.Background()) }) // the result does not matter after the benchmark
	return p
}

type socketLauncher struct {
	b    testing.TB
	pids atomic.Int64
	done chan struct{}
}

func (l *socketLauncher) HealthCheck(ctx context.Context, c *fastcgi.Conn) error { return c.Ping(ctx) }

func (l *socketLauncher) Slots() int                  { return 0 }
func (l *socketLauncher) Done() <-chan struct{}       { return l.done }
func (l *socketLauncher) WorkersStay() bool           { return false }
func (l *socketLauncher) Close(context.Context) error { return nil }
func (l *socketLauncher) Launch(context.Context) (Process, error) {
	ln, err := net.Listen(localListener(l.b))
	if err != nil {
		return nil, err
	}
	defer ln.Close() // one connection is enough
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := ln.Accept()
	if err != nil {
		return nil, err
	}
	p := &fakeProcess{pid: int(l.pids.Add(1)), client: client, server: server, done: make(chan struct{})}
	go fastcgitest.Serve(server, func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }) // until the pool is closed
	return p, nil
}

var benchInfo = Info{Method: "GET", URI: "/index.php", Query: "a=b", User: "bob", Script: "/srv/www/index.php"}

func BenchmarkAcquireRelease(b *testing.B) {
	p := benchPool(b, 4)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		l, _, err := p.acquire(ctx, benchInfo)
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}

// BenchmarkAcquireCheckRelease includes the check of the connection before each
// lease, which is one system call.
func BenchmarkAcquireCheckRelease(b *testing.B) {
	p := benchPool(b, 4)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		l, err := p.Acquire(ctx, benchInfo)
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}

func BenchmarkAcquireReleaseBy64(b *testing.B) {
	p := benchPool(b, 4)
	ctx := context.Background()
	b.ReportAllocs()
	b.SetParallelism(32) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, _, err := p.acquire(ctx, benchInfo)
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}
