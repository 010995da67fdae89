package livetest

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/caddymodule/spool"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// socketPHP launches workers that are goroutines of the test, each with a Unix
// socket, or on Windows a port. serve runs with the worker's end of it.
type socketPHP struct {
	dir   string
	serve func(net.Conn)
	pids  atomic.Int64
	done  chan struct{}
	once  sync.Once
}

func (s *socketPHP) start(context.Context, int) (pool.Launcher, error) { return s, nil }

func (s *socketPHP) HealthCheck(ctx context.Context, c *fastcgi.Conn) error { return c.Ping(ctx) }
func (s *socketPHP) Slots() int                                             { return 0 }
func (s *socketPHP) Done() <-chan struct{}                                  { return s.done }
func (s *socketPHP) WorkersStay() bool                                      { return false }

func (s *socketPHP) Close(context.Context) error {
	s.once.Do(func() { close(s.done) })
	return nil
}

func (s *socketPHP) Launch(context.Context) (pool.Process, error) {
	pid := int(4000 + s.pids.Add(1))
	ln, err := net.Listen(s.listenOn(strconv.Itoa(pid)))
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := ln.Accept()
	if err != nil {
		return nil, err
	}
	p := &socketWorker{pid: pid, client: client, server: server, done: make(chan struct{})}
	go func() {
		s.serve(server)
		p.exit()
	}()
	return p, nil
}

// inert implements the methods of pool.Process that report nothing here.
type inert struct{}

func (inert) ExitStatus() string { return "" }

func (inert) LeftGroup() bool { return false }

func (inert) ScriptEnd() (text string, ended bool) { return "", false }

func (inert) Activity(int) (pool.Activity, error) { return pool.Activity{}, errors.ErrUnsupported }

// socketWorker is a worker that exits when serve returns.
type socketWorker struct {
	inert
	pid            int
	client, server net.Conn
	done           chan struct{}
	once           sync.Once
}

func (p *socketWorker) exit() {
	p.once.Do(func() {
		close(p.done)
		p.server.Close()
	})
}

func (p *socketWorker) Conn() *fastcgi.Conn        { return fastcgi.NewConn(p.client) }
func (p *socketWorker) PID() int                   { return p.pid }
func (p *socketWorker) Done() <-chan struct{}      { return p.done }
func (p *socketWorker) Stop(context.Context) error { p.exit(); return nil }
func (p *socketWorker) Kill() error                { p.exit(); return nil }
func (p *socketWorker) SoftTimeout() error         { return nil }
func (p *socketWorker) Memory() (int64, error)     { return 1 << 20, nil }
func (p *socketWorker) CPU() time.Duration         { return time.Second }

func (p *socketWorker) Activity(int) (pool.Activity, error) { return pool.Activity{}, nil }

func (p *socketWorker) Drain(context.Context) (pool.Process, error) {
	p.exit()
	return nil, net.ErrClosed
}

// Serve returns a serve function for [NewPool] that responds to every request
// with the result of handle.
func Serve(handle func(*fastcgitest.Request) fastcgitest.Response) func(net.Conn) {
	return func(c net.Conn) { fastcgitest.Serve(c, handle) } // returns when the connection is closed
}

// NewPool returns an open static pool and closes it when the test ends. serve runs
// once for each worker, with the worker's end of its connection. active may be nil.
func NewPool(tb testing.TB, workers int, serve func(net.Conn), active *poolcfg.Plan) *live.Pool {
	tb.Helper()
	php := &socketPHP{dir: tb.TempDir(), serve: serve, done: make(chan struct{})}
	p := live.New(pool.Config{Name: "test", Start: php.start, Logger: zap.NewNop(), Settings: pool.Settings{
		Size: pool.Size{Manager: pool.Static, MaxWorkers: workers}, MaxQueue: 100, StopTimeout: time.Second,
		SlowRequest: 5 * time.Second,
	}}, spool.New("", 0), active)
	if err := p.Pool.Open(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}
