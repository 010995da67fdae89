package pool

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// query sends a query to a worker, 0 for the one used last, and returns the
// response.
func (tt *tester) query(worker uint64) (string, QueryInfo, error) {
	r := fastcgi.NewRequest()
	defer r.Free()
	r.AddParam("SCRIPT_FILENAME", "/ask.php")
	var text []byte
	info, err := tt.Query(worker, r, func(resp *http.Response) (err error) {
		text, err = io.ReadAll(resp.Body)
		return err
	})
	return string(text), info, err
}

// pendingQuery is a query in the background.
type pendingQuery struct {
	done chan struct{}
	err  error
}

func (tt *tester) startQuery() *pendingQuery {
	tt.Helper()
	a := &pendingQuery{done: make(chan struct{})}
	go func() {
		_, _, a.err = tt.query(0)
		close(a.done)
	}()
	tt.settle()
	return a
}

func (a *pendingQuery) want(tt *tester, want error) {
	tt.Helper()
	tt.settle()
	select {
	case <-a.done:
	default:
		tt.Fatalf("the query still runs, want %v", want)
	}
	if !errors.Is(a.err, want) {
		tt.Errorf("the query: got %v, want %v", a.err, want)
	}
}

// querySlowly makes responses to queries wait until the returned function is called.
func (tt *tester) querySlowly() (let func()) {
	ready := make(chan struct{})
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.handler = func(r *fastcgitest.Request) fastcgitest.Response {
		if r.Params["SCRIPT_FILENAME"] != "/ask.php" {
			return fastcgitest.OK("hello")
		}
		return append(fastcgitest.Response{fastcgitest.Wait(ready)}, fastcgitest.OK("asked")...)
	}
	return func() { close(ready) }
}

func TestQuery_NotCounted(t *testing.T) {
	s := static(3)
	s.MaxRequests, s.SlowRequest = 2, time.Second
	run(t, s, func(tt *tester) {
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		before, workers := tt.Stats(), tt.Workers()
		for range 20 {
			if text, _, err := tt.query(0); text != "hello" || err != nil {
				t.Fatalf("got %q, %v", text, err)
			}
		}
		if after := tt.Stats(); !reflect.DeepEqual(before, after) {
			t.Errorf("statistics: got %+v, want unchanged: %+v", after, before)
		}
		if after := tt.Workers(); !reflect.DeepEqual(workers, after) {
			t.Errorf("workers: got %+v, want unchanged: %+v", after, workers)
		}
	})
}

func TestQuery_SelectsWorker(t *testing.T) {
	run(t, static(3), func(tt *tester) {
		first, last := tt.acquire().wantLease(), tt.acquire().wantLease()
		wantFirst, wantLast := first.w.id, last.w.id
		first.Release()
		time.Sleep(time.Second)
		last.Release()
		for worker, want := range map[uint64]uint64{0: wantLast, wantFirst: wantFirst} {
			_, info, err := tt.query(worker)
			if err != nil || info.Worker != want || info.PID == 0 || info.Generation != 1 {
				t.Errorf("query to %d: got %+v, %v; want worker %d of generation 1", worker, info, err, want)
			}
		}
		if got := tt.acquire().wantLease(); got.w.id != wantLast {
			t.Errorf("the next request got worker %d, want %d, which was used last before the queries", got.w.id, wantLast)
		} else {
			got.Release()
		}
	})
}

func TestQuery_NeverWaits(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		a, b := tt.acquire().wantLease(), tt.acquire().wantLease()
		start := time.Now()
		if _, _, err := tt.query(0); !errors.Is(err, ErrBusy) {
			t.Errorf("any worker: got %v, want ErrBusy", err)
		}
		if _, _, err := tt.query(a.w.id); !errors.Is(err, ErrBusy) {
			t.Errorf("a busy worker: got %v, want ErrBusy", err)
		}
		if _, _, err := tt.query(99); !errors.Is(err, ErrNoWorker) {
			t.Errorf("an unknown worker: got %v, want ErrNoWorker", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v, want an error at once", waited)
		}
		if s := tt.Stats(); s.Queue.MaxLength != 0 || s.Requests.Rejected != 0 || s.Workers.MaxReached != 0 {
			t.Errorf("got %+v, %+v, %+v; want queries not to be counted", s.Queue, s.Requests, s.Workers)
		}
		a.Release()
		b.Release()
	})
}

func TestQuery_LaunchesNoWorker(t *testing.T) {
	s := dynamic(0, 4, 0)
	s.Manager, s.MasterIdleTimeout = OnDemand, 10*time.Minute
	run(t, s, func(tt *tester) {
		for range 100 { // queries do not extend the idle time
			time.Sleep(time.Second)
			tt.query(0)
		}
		tt.wantWorkers(0, 0)
		launches := tt.Stats().Launches
		if _, _, err := tt.query(0); !errors.Is(err, ErrNoWorkers) {
			t.Errorf("got %v, want ErrNoWorkers", err)
		}
		tt.settle()
		if got := tt.Stats().Launches; got != launches {
			t.Errorf("%d launches for a query, want none", got-launches)
		}
	})
}

func TestQuery_WorkerExpiresMeanwhile(t *testing.T) {
	s := dynamic(0, 4, 0)
	s.Manager, s.MasterIdleTimeout = OnDemand, 10*time.Minute
	run(t, s, func(tt *tester) {
		let := tt.querySlowly()
		time.Sleep(s.IdleTimeout - time.Second)
		query := tt.startQuery()
		time.Sleep(queryTimeout - time.Millisecond)
		tt.wantWorkers(1, 1)
		let()
		query.want(tt, nil)
		tt.wantWorkers(0, 0)
	})
}

func TestQuery_WorkerCountsAsIdle(t *testing.T) {
	run(t, dynamic(1, 4, 0), func(tt *tester) {
		let := tt.querySlowly()
		query := tt.startQuery()
		tt.wantWorkers(1, 1)
		if w := tt.Workers()[0]; w.State != Idle {
			t.Errorf("the worker is shown as %v, want idle", w.State)
		}
		// A request waits for it; no worker is launched for that short time.
		request := tt.acquire()
		request.wantWaiting()
		tt.wantWorkers(1, 1)
		let()
		query.want(tt, nil)
		request.wantLease().Release()
		tt.wantWorkers(1, 1)
		if s := tt.Stats(); s.Workers.MaxBusy != 1 || s.Launches != 1 {
			t.Errorf("got at most %d busy and %d launches, want 1 and 1", s.Workers.MaxBusy, s.Launches)
		}
	})
}

func TestQuery_RequestUsesOtherWorker(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		let := tt.querySlowly()
		query := tt.startQuery()
		start := time.Now()
		if _, err := tt.get("/a.php"); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want a response at once", err, time.Since(start))
		}
		if got := tt.Stats().Workers.MaxBusy; got != 1 {
			t.Errorf("got at most %d busy, want 1: a query is not a request", got)
		}
		let()
		query.want(tt, nil)
	})
}

// A worker that does not respond in time may be paused by a debugger. It drains and
// then serves again.
func TestQuery_Timeout(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		proceed := tt.querySlowly()
		query := tt.startQuery()
		time.Sleep(queryTimeout)
		query.want(tt, errQueryTimeout)
		time.Sleep(time.Minute)
		tt.wantWorkers(2, 1)
		if got := tt.Stats().Workers.Draining; got != 1 {
			t.Errorf("%d workers drain, want 1", got)
		}
		proceed()
		tt.wantWorkers(2, 2)
		s := tt.Stats()
		if len(s.Exits) != 0 || s.Requests != (RequestCounts{}) || s.Launches != 2 {
			t.Errorf("got exits %v, %d launches and requests %+v, want no exit, 2 launches and no request", s.Exits, s.Launches, s.Requests)
		}
	})
}

// Requests wait for a worker that does not respond to a query: it is stopped.
func TestQuery_TimeoutBlocksRequests(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		defer tt.querySlowly()() // the fake still runs after its process has exited
		query := tt.startQuery()
		a := tt.acquire()
		time.Sleep(queryTimeout)
		query.want(tt, errQueryTimeout)
		time.Sleep(2*tickInterval + killDelay)
		a.wantLease().Release()
		if got := tt.proc(0).soft.Load(); got != 1 {
			t.Errorf("stopped softly %d times, want once", got)
		}
		if s := tt.Stats(); s.Exits[Abandoned] != 1 || len(s.Exits) != 1 {
			t.Errorf("got exits %v, want one abandoned", s.Exits)
		}
	})
}

func TestQuery_WorkerCrashes(t *testing.T) {
	s := static(2)
	s.Crashes, s.Period = 1, time.Minute
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			tt.proc(0).end()
			tt.proc(1).end()
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		query := tt.startQuery()
		tt.settle()
		<-query.done
		if query.err == nil {
			t.Error("got no error from a worker that crashed")
		}
		tt.wantWorkers(2, 2)
		if s := tt.Stats(); s.Exits[Crashed] != 2 || len(s.Quarantined) != 0 {
			t.Errorf("got exits %v, quarantined %v, want two crashed and none", s.Exits, s.Quarantined)
		}
	})
}

func TestQuery_ReadError(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.OK(strings.Repeat("much ", 1<<20))
		}
		r := fastcgi.NewRequest()
		defer r.Free()
		r.AddParam("SCRIPT_FILENAME", "/ask.php")
		unwanted := errors.New("not that")
		if _, err := tt.Query(0, r, func(*http.Response) error { return unwanted }); !errors.Is(err, unwanted) {
			t.Errorf("got %v, want %v", err, unwanted)
		}
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits; len(got) != 0 {
			t.Errorf("exits: got %v, want none", got)
		}
	})
}

func TestQuery_CloseWaits(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		let := tt.querySlowly()
		query := tt.startQuery()
		closed := make(chan struct{})
		go func() {
			tt.Close(context.Background())
			close(closed)
		}()
		tt.settle()
		select {
		case <-closed:
			t.Error("the pool was closed while a query ran")
		default:
		}
		let()
		<-closed
		query.want(tt, nil)
		if _, _, err := tt.query(0); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed pool: got %v, want ErrClosed", err)
		}
	})
}
