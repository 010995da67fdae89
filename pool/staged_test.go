package pool

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// warm sends a warmup request to a worker of a generation that is not active yet.
func (tt *tester) warm(pr *Prepared, worker int) error {
	r := fastcgi.NewRequest()
	defer r.Free()
	r.AddParam("SCRIPT_FILENAME", "/warm.php")
	x, err := pr.Do(context.Background(), worker, &Request{FastCGI: r})
	if err != nil {
		return err
	}
	defer x.Close()
	_, err = io.Copy(io.Discard, x.HTTP.Body)
	return err
}

func TestWarmup_NotCounted(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		pr, err := tt.Prepare(context.Background(), tt.begin, static(2))
		if err != nil {
			t.Fatal(err)
		}
		for worker := range pr.Workers() {
			if err := tt.warm(pr, worker); err != nil {
				t.Errorf("worker %d: %v", worker, err)
			}
		}
		if n := pr.DiscardFailed(context.Background()); n != 0 {
			t.Errorf("%d workers failed during warmup, want 0", n)
		}
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Requests.Total; got != 0 {
			t.Errorf("%d requests were counted, want 0", got)
		}
		if err := pr.Commit(); err != nil {
			t.Fatal(err)
		}
		tt.settle()
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

func TestWarmup_WorkerCrashes(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		pr, err := tt.Prepare(context.Background(), tt.begin, static(2))
		if err != nil {
			t.Fatal(err)
		}
		victim := pr.workers[0].proc.(*fakeProcess)
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			victim.end()
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		if err := tt.warm(pr, 0); !errors.Is(err, ErrWorkerDied) {
			t.Errorf("got %v, want ErrWorkerDied", err)
		}
		if err := tt.warm(pr, 0); !errors.Is(err, ErrWorkerDied) {
			t.Errorf("an exited worker: got %v, want ErrWorkerDied", err)
		}
		if n := pr.DiscardFailed(context.Background()); n != 1 || pr.Workers() != 1 {
			t.Errorf("%d workers were discarded and %d are left, want 1 and 1", n, pr.Workers())
		}
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }
		if err := pr.Commit(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		tt.wantWorkers(2, 2)
	})
}

func TestPrepareIdle_OnDemand(t *testing.T) {
	s := static(2)
	s.Manager, s.IdleTimeout = OnDemand, time.Minute
	runClosed(t, s, func(tt *tester) {
		if err := tt.PrepareIdle(tt.begin, s).Commit(); err != nil {
			t.Fatal(err)
		}
		if got := tt.Stats().Launches; got != 0 {
			t.Errorf("%d workers were launched before a request, want 0", got)
		}
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Errorf("got %q, %v", body, err)
		}
		tt.wantWorkers(1, 1)
		// Committing another one stops the workers of the first.
		if err := tt.PrepareIdle(tt.begin, s).Commit(); err != nil {
			t.Fatal(err)
		}
		tt.settle()
		tt.wantWorkers(0, 0)
		if !tt.generation(0).closed.Load() {
			t.Error("the old generation was not closed")
		}
		if body, err := tt.get("/a.php"); err != nil || body != "hello" {
			t.Errorf("after the change: got %q, %v", body, err)
		}
	})
}

func TestPrepare_Discard(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		bigger := static(5)
		bigger.StopTimeout = time.Second
		pr, err := tt.Prepare(context.Background(), tt.begin, bigger)
		if err != nil {
			t.Fatal(err)
		}
		tt.wantWorkers(2, 2)
		pr.Discard()
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Workers.Max; got != 2 {
			t.Errorf("max: got %d, want 2", got)
		}
	})
}

// The process exits some time after its connection has ended, as on a busy machine.
func TestWarmup_WorkerExitsLate(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		pr, err := tt.Prepare(context.Background(), tt.begin, static(1))
		if err != nil {
			t.Fatal(err)
		}
		defer pr.Discard()
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			p := tt.proc(-1)
			p.server.Close() // a pipe
			time.AfterFunc(500*time.Millisecond, p.end)
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		if err = tt.warm(pr, 0); !errors.Is(err, ErrWorkerDied) || !strings.Contains(err.Error(), "signal: killed") {
			t.Errorf("got %v, want ErrWorkerDied and how it exited", err)
		}
		if status, exited := pr.ExitStatus(0); !exited || status != "signal: killed" {
			t.Errorf("exit status: got %q, %v", status, exited)
		}
	})
}
