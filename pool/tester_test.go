package pool

import (
	"context"
	"errors"
	"io"
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

// tester is a pool over fake processes that respond to each request with handler,
// and the verbs of the tests.
type tester struct {
	*testing.T
	*Pool

	mu sync.Mutex
	// handler responds to requests; tests replace it before they send one.
	handler func(*fastcgitest.Request) fastcgitest.Response
	// launch is called before each launch, which fails if it returns an error.
	launch func(ctx context.Context) error
	// activity is the result of Activity.
	activity func(*fakeProcess) (Activity, error)
	// logged has the log records of the pool.
	logged *observer.ObservedLogs
	// startErr is the result of starts of generations, unless it is nil; starts counts
	// them.
	startErr    error
	starts      int
	slots       int
	maxWorkers  int // the initial maximum; tests only decrease it
	generations []*fakeGen
	procs       []*fakeProcess
	pids        atomic.Int64
	// wantCloseError means that the test itself has closed the pool during a request.
	wantCloseError bool
	// attempts counts the launches since refuse was called.
	attempts atomic.Int64
}

func static(n int) Settings {
	return Settings{Size: Size{Manager: Static, MaxWorkers: n}, MaxQueue: 10, QueueTimeout: time.Minute}
}

func dynamic(minWorkers, maxWorkers, maxSpare int) Settings {
	return Settings{
		Size:     Size{Manager: Dynamic, MinWorkers: minWorkers, StartWorkers: minWorkers, MaxWorkers: maxWorkers, MaxSpare: maxSpare, IdleTimeout: time.Minute},
		MaxQueue: 100, QueueTimeout: time.Minute, StartTimeout: 30 * time.Second,
	}
}

// run runs f in a synctest bubble, over an open pool with the settings.
func run(t *testing.T, s Settings, f func(tt *tester)) {
	t.Helper()
	runClosed(t, s, func(tt *tester) {
		if err := tt.Open(tt.Context()); err != nil {
			tt.Fatalf("Open: %v", err)
		}
		f(tt)
	})
}

// runClosed is run with a pool that is not open yet.
func runClosed(t *testing.T, s Settings, f func(tt *tester)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tt := newTester(t, s)
		f(tt)
		tt.close()
		time.Sleep(time.Second) // for handlers that still run
	})
}

func newTester(t *testing.T, s Settings) *tester {
	t.Helper()
	return newLimitedTester(t, s, nil)
}

// newLimitedTester is newTester for one of several pools that share a limit.
func newLimitedTester(t *testing.T, s Settings, total *TotalLimit) *tester {
	t.Helper()
	tt := &tester{
		T:          t,
		handler:    func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") },
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
	tt.Pool = New(Config{Name: "test", Start: tt.begin, Settings: s, Logger: zap.New(core), Total: total})
	return tt
}

func (tt *tester) begin(_ context.Context, slots int) (Launcher, error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.starts++
	if tt.startErr != nil {
		return nil, tt.startErr
	}
	if tt.slots > 0 {
		slots = tt.slots
	}
	g := &fakeGen{tt: tt, slots: slots, done: make(chan struct{})}
	tt.generations = append(tt.generations, g)
	return g, nil
}

// started returns how often the pool has started a generation, or tried to.
func (tt *tester) started() int {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return tt.starts
}

// launched returns how many processes the pool has launched.
func (tt *tester) launched() int {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	return len(tt.procs)
}

// close closes the pool and checks that no process is left.
func (tt *tester) close() {
	tt.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := tt.Close(ctx); err != nil && !tt.wantCloseError {
		tt.Errorf("Close: %v", err)
	}
	if n := tt.alive(); n != 0 {
		tt.Errorf("%d processes are left after Close", n)
	}
}

// alive returns the number of fake processes that run.
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

// proc returns the i-th process that was launched; a negative i counts from the last.
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

// refuse makes launches fail with err, or succeed again if it is nil.
func (tt *tester) refuse(err error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.launch = func(context.Context) error {
		tt.attempts.Add(1)
		return err
	}
}

// settle waits until nothing more can happen without time passing.
func (tt *tester) settle() { synctest.Wait() }

// wantWorkers checks the number of workers and how many of them are idle.
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

// acquireFor is acquire for a request of the client.
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
		a.tt.Fatalf("Acquire returned (error %v), want it to wait", a.err)
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

// get sends a request and reads the response.
func (tt *tester) get(script string) (string, error) {
	return tt.do(context.Background(), script, true)
}

// getAt sends a request for a script at a path, which is not retried.
func (tt *tester) getAt(script, path string) (string, error) {
	r := fastcgi.NewRequest()
	defer r.Free()
	x, err := tt.Do(context.Background(), &Request{FastCGI: r, Info: Info{Method: "GET", URI: path, Script: script}})
	if err != nil {
		return "", err
	}
	defer x.Close()
	body, err := io.ReadAll(x.HTTP.Body)
	return string(body), err
}

func (tt *tester) do(ctx context.Context, script string, repeatable bool) (string, error) {
	x, free, err := tt.send(ctx, script, repeatable)
	if err != nil {
		return "", err
	}
	defer free()
	body, err := io.ReadAll(x.HTTP.Body)
	return string(body), err
}

// send sends a request and returns when the response header has arrived.
func (tt *tester) send(ctx context.Context, script string, repeatable bool) (*Response, func(), error) {
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
