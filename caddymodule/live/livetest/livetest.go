package livetest

import (
	"context"
	"errors"
	"net"
	"path/filepath"
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

// socketPHP launches workers that are goroutines of the test, over sockets: serve
// has the worker's end of each.
type socketPHP struct {
	dir   string
	serve func(net.Conn)
	pids  atomic.Int64
	done  chan struct{}
	once  sync.Once
}

func (f *socketPHP) start(context.Context, int) (pool.Launcher, error) { return f, nil }

func (f *socketPHP) HealthCheck(ctx context.Context, c *fastcgi.Conn) error { return c.Ping(ctx) }
func (f *socketPHP) Slots() int                                             { return 0 }
func (f *socketPHP) Done() <-chan struct{}                                  { return f.done }

func (f *socketPHP) Close(context.Context) error {
	f.once.Do(func() { close(f.done) })
	return nil
}

func (f *socketPHP) Launch(context.Context) (pool.Process, error) {
	pid := int(4000 + f.pids.Add(1))
	l, err := net.Listen("unix", filepath.Join(f.dir, strconv.Itoa(pid)))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := l.Accept()
	if err != nil {
		return nil, err
	}
	p := &socketWorker{pid: pid, client: client, server: server, done: make(chan struct{})}
	go func() {
		f.serve(server)
		p.end()
	}()
	return p, nil
}

// inert is what the fakes of a process have in common: nothing to tell.
type inert struct{}

func (inert) ExitStatus() string { return "" }

func (inert) Activity() (pool.Activity, error) { return pool.Activity{}, errors.ErrUnsupported }

// socketWorker ends when its side of the connection does.
type socketWorker struct {
	inert
	pid            int
	client, server net.Conn
	done           chan struct{}
	once           sync.Once
}

func (p *socketWorker) end() {
	p.once.Do(func() {
		close(p.done)
		p.server.Close()
	})
}

func (p *socketWorker) Conn() net.Conn             { return p.client }
func (p *socketWorker) PID() int                   { return p.pid }
func (p *socketWorker) Done() <-chan struct{}      { return p.done }
func (p *socketWorker) Stop(context.Context) error { p.end(); return nil }
func (p *socketWorker) Kill() error                { p.end(); return nil }
func (p *socketWorker) SoftTimeout() error         { return nil }
func (p *socketWorker) Memory() (int64, error)     { return 1 << 20, nil }
func (p *socketWorker) CPU() time.Duration         { return time.Second }

func (p *socketWorker) Activity() (pool.Activity, error) { return pool.Activity{}, nil }

func (p *socketWorker) Drain(context.Context) (pool.Process, error) {
	p.end()
	return nil, net.ErrClosed
}

// Answers serves requests on the worker's end of a connection as handle says.
func Answers(handle func(*fastcgitest.Request) fastcgitest.Response) func(net.Conn) {
	return func(c net.Conn) { fastcgitest.Serve(c, handle) } // it ends with the test
}

// NewPool returns an open pool of that many workers, on sockets that serve
// answers, and closes it when the test ends. active may be nil.
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
