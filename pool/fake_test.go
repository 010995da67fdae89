package pool

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// fakeGen is a Launcher of fake processes.
type fakeGen struct {
	tt       *tester
	slots    int
	done     chan struct{}
	once     sync.Once
	closed   atomic.Bool
	killed   atomic.Bool // Close had no time left
	stuck    atomic.Bool // launches hang
	stopping atomic.Bool // the master has signaled its children to stop
}

func (g *fakeGen) WorkersStay() bool { return !g.stopping.Load() }

func (g *fakeGen) HealthCheck(ctx context.Context, c *fastcgi.Conn) error {
	return c.Ping(ctx)
}

func (g *fakeGen) Slots() int { return g.slots }

func (g *fakeGen) Done() <-chan struct{} { return g.done }

// die makes the master exit; its children keep running.
func (g *fakeGen) die() { g.once.Do(func() { close(g.done) }) }

func (g *fakeGen) Launch(ctx context.Context) (Process, error) {
	g.tt.mu.Lock()
	launch := g.tt.launch
	g.tt.mu.Unlock()
	if g.stuck.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := launch(ctx); err != nil {
		return nil, err
	}
	return g.process(int(g.tt.pids.Add(1))), nil
}

func (g *fakeGen) process(pid int) *fakeProcess {
	client, server := net.Pipe()
	p := &fakeProcess{gen: g, pid: pid, client: client, server: server, done: make(chan struct{}), served: make(chan struct{})}
	g.tt.mu.Lock()
	g.tt.procs = append(g.tt.procs, p)
	g.tt.mu.Unlock()
	go p.serve(server)
	return p
}

func (g *fakeGen) Close(ctx context.Context) error {
	g.closed.Store(true)
	g.killed.Store(ctx.Err() != nil)
	g.die()
	g.tt.mu.Lock()
	procs := g.tt.procs
	g.tt.mu.Unlock()
	for _, p := range procs {
		if p.gen == g {
			p.end()
		}
	}
	return nil
}

// fakeProcess is a Process that responds on the other end of a pipe.
type fakeProcess struct {
	gen            *fakeGen
	pid            int
	client, server net.Conn
	done           chan struct{}
	once           sync.Once
	deaf           atomic.Bool
	soft           atomic.Int32 // number of calls of SoftTimeout
	noSoft         bool
	leftGroup      atomic.Bool
	memory         atomic.Int64
	served         chan struct{}          // closed when the last request has ended
	succeeded      atomic.Bool            // Drain returns another process
	drained        func() Process         // replaces Drain if not nil; fails if it returns nil
	scriptEnd      atomic.Pointer[string] // not nil once the worker script has ended
}

func (p *fakeProcess) serve(conn net.Conn) {
	defer close(p.served)
	responder := fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Response {
		p.gen.tt.mu.Lock()
		h := p.gen.tt.handler
		p.gen.tt.mu.Unlock()
		r.Params["pid"] = time.Duration(p.pid).String()
		return h(r)
	}, Values: p.values}
	responder.Serve(conn) // the error does not matter
}

// values responds to a health check.
func (p *fakeProcess) values() fastcgitest.Response {
	if p.deaf.Load() {
		return fastcgitest.Response{fastcgitest.Stall()}
	}
	return fastcgitest.Response{fastcgitest.Values("FCGI_MAX_CONNS", "1", "FCGI_MAX_REQS", "1", "FCGI_MPXS_CONNS", "0")}
}

func (p *fakeProcess) Conn() *fastcgi.Conn { return fastcgi.NewConn(p.client) }

func (p *fakeProcess) ScriptEnd() (text string, ended bool) {
	if end := p.scriptEnd.Load(); end != nil {
		return *end, true
	}
	return "", false
}

func (p *fakeProcess) PID() int { return p.pid }

func (p *fakeProcess) Done() <-chan struct{} { return p.done }

func (p *fakeProcess) LeftGroup() bool { return p.leftGroup.Load() }

func (p *fakeProcess) Memory() (int64, error) { return p.memory.Load(), nil }

func (p *fakeProcess) CPU() time.Duration { return 1500 * time.Millisecond }

func (p *fakeProcess) Stop(context.Context) error { p.end(); return nil }

func (p *fakeProcess) Kill() error { p.end(); return nil }

func (p *fakeProcess) ExitStatus() string { return "signal: killed" }

func (p *fakeProcess) Activity(depth int) (Activity, error) {
	p.gen.tt.mu.Lock()
	f := p.gen.tt.activity
	p.gen.tt.mu.Unlock()
	a, err := f(p)
	a.Backtrace = a.Backtrace[:min(depth, len(a.Backtrace))]
	return a, err
}

func (p *fakeProcess) SoftTimeout() error {
	if p.noSoft {
		return errors.ErrUnsupported
	}
	p.soft.Add(1)
	return nil
}

// mute makes the process ignore health checks.
func (p *fakeProcess) mute() { p.deaf.Store(true) }

// end makes the process exit.
func (p *fakeProcess) end() {
	p.once.Do(func() {
		close(p.done)
		p.server.Close() // a pipe
		p.client.Close() // a pipe
	})
}

// Drain closes the connection and waits until the script has ended.
func (p *fakeProcess) Drain(ctx context.Context) (Process, error) {
	p.client.Close() // a pipe
	if p.drained != nil {
		if next := p.drained(); next != nil {
			return next, nil
		}
		return nil, errors.New("the connection has ended")
	}
	if p.succeeded.Load() {
		p.end()
		return p.gen.process(int(p.gen.tt.pids.Add(1))), nil
	}
	select {
	case <-p.served:
	case <-p.done:
		return nil, errors.New("the process has ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.end()
	return p.gen.process(p.pid), nil
}
