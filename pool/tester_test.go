package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// tester gives the tests a language: a pool over fake processes that answer
// each request with handler.
type tester struct {
	*testing.T
	*Pool

	mu sync.Mutex
	// handler answers requests; replaced by tests before they send one.
	handler func(*fastcgitest.Request) fastcgitest.Answer
	// launch is asked before each launch: an error refuses it.
	launch func(ctx context.Context) error
	// activity says what a process does.
	activity func(*fakeProcess) (Activity, error)
	// logged are the records of the pool.
	logged      *observer.ObservedLogs
	slots       int
	maxWorkers  int // the maximum the pool began with; tests only make it smaller
	generations []*fakeGen
	procs       []*fakeProcess
	pids        atomic.Int64
	// wantCloseError: the test itself has closed the pool under a request.
	wantCloseError bool
	// attempts counts the launches since refuse.
	attempts atomic.Int64
}

// run runs f in a bubble, over an open pool with the settings.
func run(t *testing.T, s Settings, f func(tt *tester)) {
	t.Helper()
	runClosed(t, s, func(tt *tester) {
		if err := tt.Open(tt.Context()); err != nil {
			tt.Fatalf("opening the pool: %v", err)
		}
		f(tt)
	})
}

// runClosed is run over a pool that is not open yet.
func runClosed(t *testing.T, s Settings, f func(tt *tester)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tt := newTester(t, s)
		f(tt)
		tt.close()
		time.Sleep(time.Second) // for answers that are still being played
	})
}

func newTester(t *testing.T, s Settings) *tester {
	t.Helper()
	tt := &tester{
		T:          t,
		handler:    func(*fastcgitest.Request) fastcgitest.Answer { return fastcgitest.OK("hello") },
		launch:     func(context.Context) error { return nil },
		activity:   func(*fakeProcess) (Activity, error) { return Activity{}, errors.ErrUnsupported },
		maxWorkers: s.MaxWorkers,
	}
	if s.StopTimeout == 0 {
		s.StopTimeout = time.Second
	}
	if s.Window == 0 {
		s.Window = time.Minute
	}
	var core zapcore.Core
	core, tt.logged = observer.New(zap.InfoLevel)
	tt.Pool = New(Config{Name: "test", Start: tt.begin, Settings: s, Logger: zap.New(core)})
	return tt
}

func (tt *tester) begin(_ context.Context, slots int) (Launcher, error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	if tt.slots > 0 {
		slots = tt.slots
	}
	g := &fakeGen{tt: tt, slots: slots, done: make(chan struct{})}
	tt.generations = append(tt.generations, g)
	return g, nil
}

// close ends the pool and sees that nothing is left.
func (tt *tester) close() {
	tt.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := tt.Close(ctx); err != nil && !tt.wantCloseError {
		tt.Errorf("closing the pool: %v", err)
	}
	if n := tt.alive(); n != 0 {
		tt.Errorf("%d processes are left after Close", n)
	}
}

// alive counts the fake processes that have not ended.
func (tt *tester) alive() int {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	n := 0
	for _, p := range tt.procs {
		select {
		case <-p.done:
		default:
			n++
		}
	}
	return n
}

// proc is the i-th process that was ever launched, gen the i-th generation; a
// negative i counts from the last.
func (tt *tester) proc(i int) *fakeProcess {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return tt.procs[(i+len(tt.procs))%len(tt.procs)]
}

func (tt *tester) generation(i int) *fakeGen {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return tt.generations[i]
}

// refuse makes launches fail with the error; nil lets them succeed again.
func (tt *tester) refuse(err error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.launch = func(context.Context) error {
		tt.attempts.Add(1)
		return err
	}
}

// settle lets everything happen that can happen without time passing.
func (tt *tester) settle() { synctest.Wait() }

// wantWorkers checks how many there are in all and idle.
func (tt *tester) wantWorkers(total, idle int) {
	tt.Helper()
	tt.settle()
	s := tt.Stats().Workers
	if s.Total != total || s.Idle != idle {
		tt.Fatalf("workers: got %d, %d of them idle, want %d, %d idle (%+v)", s.Total, s.Idle, total, idle, s)
	}
}

// acquiring is a request that wants a worker.
type acquiring struct {
	tt     *tester
	cancel context.CancelFunc
	done   chan struct{}
	lease  Lease
	err    error
}

func (tt *tester) acquire() *acquiring {
	tt.Helper()
	return tt.acquireFor(netip.Addr{})
}

// acquireFor is acquire for a request of a client.
func (tt *tester) acquireFor(client netip.Addr) *acquiring {
	tt.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &acquiring{tt: tt, cancel: cancel, done: make(chan struct{})}
	go func() {
		a.lease, a.err = tt.Acquire(ctx, Info{Method: "GET", URI: "/", Client: client})
		close(a.done)
	}()
	tt.settle()
	return a
}

func (a *acquiring) wantLease() Lease {
	a.tt.Helper()
	a.tt.settle()
	select {
	case <-a.done:
	default:
		a.tt.Fatal("the request still waits, want a lease")
	}
	if a.err != nil {
		a.tt.Fatalf("got error %v, want a lease", a.err)
	}
	return a.lease
}

func (a *acquiring) wantWaiting() {
	a.tt.Helper()
	a.tt.settle()
	select {
	case <-a.done:
		a.tt.Fatalf("the request was served (%v), want it to wait", a.err)
	default:
	}
}

func (a *acquiring) wantError(want error) {
	a.tt.Helper()
	a.tt.settle()
	select {
	case <-a.done:
	default:
		a.tt.Fatalf("the request still waits, want error %v", want)
	}
	if !errors.Is(a.err, want) {
		a.tt.Fatalf("got error %v, want %v", a.err, want)
	}
}

// get runs a whole request.
func (tt *tester) get(script string) (string, error) {
	return tt.do(context.Background(), script, true)
}

func (tt *tester) do(ctx context.Context, script string, repeatable bool) (string, error) {
	x, free, err := tt.begun(ctx, script, repeatable)
	if err != nil {
		return "", err
	}
	defer free()
	body, err := io.ReadAll(x.HTTP.Body)
	return string(body), err
}

// begun sends a request and returns when its answer has begun.
func (tt *tester) begun(ctx context.Context, script string, repeatable bool) (*Response, func(), error) {
	r := fastcgi.NewRequest()
	r.AddParam("SCRIPT_FILENAME", script)
	x, err := tt.Do(ctx, &Request{
		FastCGI: r, Info: Info{Method: "GET", URI: script, Script: script}, Repeatable: repeatable,
	})
	if err != nil {
		r.Free()
		return nil, nil, err
	}
	return x, func() {
		x.Close()
		r.Free()
	}, nil
}

// fakeGen is a launcher.
type fakeGen struct {
	tt     *tester
	slots  int
	done   chan struct{}
	once   sync.Once
	closed atomic.Bool
}

func (g *fakeGen) HealthCheck(ctx context.Context, c *fastcgi.Conn) error {
	return c.Ping(ctx)
}

func (g *fakeGen) Slots() int            { return g.slots }
func (g *fakeGen) Done() <-chan struct{} { return g.done }

// die ends the master; its children live on.
func (g *fakeGen) die() { g.once.Do(func() { close(g.done) }) }

func (g *fakeGen) Launch(ctx context.Context) (Process, error) {
	g.tt.mu.Lock()
	ask := g.tt.launch
	g.tt.mu.Unlock()
	if err := ask(ctx); err != nil {
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

func (g *fakeGen) Close(context.Context) error {
	g.closed.Store(true)
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

// fakeProcess answers on one end of a pipe.
type fakeProcess struct {
	gen            *fakeGen
	pid            int
	client, server net.Conn
	done           chan struct{}
	once           sync.Once
	deaf           atomic.Bool
	soft           atomic.Int32 // SoftTimeout was called so often
	noSoft         bool
	memory         atomic.Int64
	served         chan struct{}  // closed when nothing runs any more
	succeeded      atomic.Bool    // Drain finds another process in its slot
	drained        func() Process // what Drain finds instead, if it is there
}

func (p *fakeProcess) serve(conn net.Conn) {
	defer close(p.served)
	responder := fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Answer {
		p.gen.tt.mu.Lock()
		h := p.gen.tt.handler
		p.gen.tt.mu.Unlock()
		r.Params["pid"] = time.Duration(p.pid).String()
		return h(r)
	}, Values: p.values}
	responder.Serve(conn) // it ends as it ends
}

// values answers the health probe.
func (p *fakeProcess) values() fastcgitest.Answer {
	if p.deaf.Load() {
		return fastcgitest.Answer{fastcgitest.Stall()}
	}
	return fastcgitest.Answer{fastcgitest.Values("FCGI_MAX_CONNS", "1", "FCGI_MAX_REQS", "1", "FCGI_MPXS_CONNS", "0")}
}

func (p *fakeProcess) Conn() net.Conn             { return p.client }
func (p *fakeProcess) PID() int                   { return p.pid }
func (p *fakeProcess) Done() <-chan struct{}      { return p.done }
func (p *fakeProcess) Memory() (int64, error)     { return p.memory.Load(), nil }
func (p *fakeProcess) CPU() time.Duration         { return 1500 * time.Millisecond }
func (p *fakeProcess) Stop(context.Context) error { p.end(); return nil }
func (p *fakeProcess) Kill() error                { p.end(); return nil }

func (p *fakeProcess) ExitStatus() string { return "signal: killed" }

func (p *fakeProcess) Activity() (Activity, error) {
	p.gen.tt.mu.Lock()
	f := p.gen.tt.activity
	p.gen.tt.mu.Unlock()
	return f(p)
}

func (p *fakeProcess) SoftTimeout() error {
	if p.noSoft {
		return errors.ErrUnsupported
	}
	p.soft.Add(1)
	return nil
}

// mute makes the process answer nothing more, without ending it.
func (p *fakeProcess) mute() { p.deaf.Store(true) }

// end is the death of the process, whoever caused it.
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
		return p.drained(), nil
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
