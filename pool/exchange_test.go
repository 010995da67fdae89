package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// killer answers by the death of its process, the first n times.
func (tt *tester) killer(n int32) {
	var left atomic.Int32
	left.Store(n)
	tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
		if left.Add(-1) < 0 {
			return fastcgitest.OK("hello")
		}
		tt.killBusy()
		return fastcgitest.Answer{fastcgitest.Stall()}
	}
}

// killBusy ends the processes that are leased.
func (tt *tester) killBusy() {
	for _, w := range tt.Workers() {
		if w.State == Busy {
			w.Process.(*fakeProcess).end()
		}
	}
}

func TestRetry_RepeatableRequest(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.killer(1)
		if body, err := tt.do(context.Background(), "/a.php", true); err != nil || body != "hello" {
			t.Errorf("got %q, %v; want the answer of a second worker", body, err)
		}
		s := tt.Stats()
		if s.Requests.Retried != 1 || s.Exits[Crashed] != 1 {
			t.Errorf("got %d retried, %d crashed, want 1 and 1", s.Requests.Retried, s.Exits[Crashed])
		}
		if c := s.LastCrash; c.Request.Script != "/a.php" || !c.Time.Equal(time.Now()) || c.ExitStatus != "signal: killed" {
			t.Errorf("got %+v, want that of /a.php", c)
		}
		tt.wantWorkers(2, 2)
	})
}

func TestRetry_NotRepeatable(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.killer(1)
		if _, err := tt.do(context.Background(), "/a.php", false); !errors.Is(err, ErrWorkerDied) {
			t.Errorf("got %v, want ErrWorkerDied", err)
		}
		if s := tt.Stats(); s.Requests.Retried != 0 || s.Requests.Failed != 1 {
			t.Errorf("got %d retried, %d failed, want 0 and 1", s.Requests.Retried, s.Requests.Failed)
		}
		tt.wantWorkers(2, 2)
	})
}

func TestRetry_OnlyOnce(t *testing.T) {
	run(t, static(3), func(tt *tester) {
		tt.killer(3)
		if _, err := tt.do(context.Background(), "/a.php", true); !errors.Is(err, ErrWorkerDied) {
			t.Errorf("got %v, want ErrWorkerDied", err)
		}
		if got := tt.Stats().Exits[Crashed]; got != 2 {
			t.Errorf("the request cost %d workers, want 2", got)
		}
	})
}

func TestRetry_NotAfterFirstByte(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return fastcgitest.Answer{
				fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nhalf"), fastcgitest.Flush(),
				func(*fastcgitest.Wire) error { tt.killBusy(); return nil }, fastcgitest.Stall(),
			}
		}
		body, err := tt.do(context.Background(), "/a.php", true)
		if err == nil || body != "half" {
			t.Errorf("got %q, %v; want what came, and an error", body, err)
		}
		if got := tt.Stats().Requests.Retried; got != 0 {
			t.Errorf("retried: got %d, want 0", got)
		}
		tt.wantWorkers(2, 2)
	})
}

func TestQuarantine_RepeatedCrashes(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Deaths: 3, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		tt.killer(1 << 30)
		for range 3 {
			if _, err := tt.do(context.Background(), "/bad.php", false); !errors.Is(err, ErrWorkerDied) {
				t.Fatalf("got %v, want ErrWorkerDied", err)
			}
		}
		if _, err := tt.do(context.Background(), "/bad.php", false); !errors.Is(err, ErrQuarantined) {
			t.Errorf("the fourth time: got %v, want ErrQuarantined", err)
		}
		tt.killer(0)
		if body, err := tt.get("/good.php"); err != nil || body != "hello" {
			t.Errorf("another script: got %q, %v", body, err)
		}
		if _, ok := tt.Stats().Quarantined["/bad.php"]; !ok {
			t.Error("the statistics do not name the script")
		}
		time.Sleep(time.Minute + time.Second)
		if body, err := tt.get("/bad.php"); err != nil || body != "hello" {
			t.Errorf("a minute later: got %q, %v", body, err)
		}
	})
}

// The process that takes over a slot may exit at once: its predecessor's script
// had nothing to do with that.
func TestQuarantine_NotForCrashOfReplacement(t *testing.T) {
	s := static(1)
	s.Quarantine = Quarantine{Deaths: 2, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		first := tt.proc(0)
		first.drained = func() Process {
			replacement := first.gen.process(2)
			replacement.end()
			first.end()
			return replacement
		}
		tt.abandon()
		time.Sleep(time.Second)
		if s := tt.Stats(); s.Exits[Crashed] != 2 || len(s.Quarantined) != 0 || s.LastCrash.Request != (Info{}) {
			t.Errorf("got exits %v, quarantined %v, last crash %+v; want two crashed, none quarantined and the last without a request",
				s.Exits, s.Quarantined, s.LastCrash)
		}
	})
}

// One address of a front controller crashes: that must not fell the site.
func TestQuarantine_NotIfItSometimesSucceeds(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Deaths: 3, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		for range 10 {
			tt.killer(1)
			if _, err := tt.do(context.Background(), "/index.php", false); !errors.Is(err, ErrWorkerDied) {
				t.Fatalf("got %v, want ErrWorkerDied", err)
			}
			if _, err := tt.get("/index.php"); err != nil {
				t.Fatalf("a request that does not crash: %v", err)
			}
		}
	})
}

func TestRequestTimeout_Soft(t *testing.T) {
	s := static(1)
	s.RequestTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return append(fastcgitest.Answer{untilSoft(tt.proc(0))}, fastcgitest.Reply("Status: 500\r\n\r\ntime is over")...)
		}
		began := time.Now()
		if _, err := tt.get("/a.php"); !errors.Is(err, ErrRequestTimeout) {
			t.Errorf("got %v, want ErrRequestTimeout", err)
		}
		if took := time.Since(began).Round(time.Second); took != 10*time.Second {
			t.Errorf("took %v, want 10s", took)
		}
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits; len(got) != 0 {
			t.Errorf("exits: got %v, want none", got)
		}
	})
}

// untilSoft waits for the soft end of a request.
func untilSoft(p *fakeProcess) fastcgitest.Step {
	return func(*fastcgitest.Wire) error {
		for p.soft.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	}
}

func TestRequestTimeout_Kill(t *testing.T) {
	s := static(1)
	s.RequestTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return fastcgitest.Answer{fastcgitest.Stall()}
		}
		began := time.Now()
		if _, err := tt.get("/a.php"); !errors.Is(err, ErrRequestTimeout) {
			t.Errorf("got %v, want ErrRequestTimeout", err)
		}
		if took := time.Since(began); took != 10*time.Second+killDelay {
			t.Errorf("took %v, want 12s", took)
		}
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits[RequestTimeout]; got != 1 {
			t.Errorf("exits by request_timeout: got %d, want 1", got)
		}
	})
}

func TestRequestTimeout_WhileDraining(t *testing.T) {
	s := static(1)
	s.RequestTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		hang := make(chan struct{})
		defer close(hang)
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return fastcgitest.Answer{fastcgitest.Wait(hang)}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := tt.do(ctx, "/a.php", true); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the client's deadline", err)
		}
		tt.settle()
		if got := tt.Stats().Workers.Draining; got != 1 {
			t.Fatalf("draining: got %d, want 1", got)
		}
		time.Sleep(9*time.Second + killDelay)
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits[RequestTimeout]; got != 1 {
			t.Errorf("exits: got %v, want one by request_timeout", tt.Stats().Exits)
		}
	})
}

func TestRetry_NotAfterClientDisconnect(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		ctx, cancel := context.WithCancel(context.Background())
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			cancel()
			synctest.Wait()
			return fastcgitest.OK("late")
		}
		if _, err := tt.do(ctx, "/a.php", true); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if got := tt.Stats().Requests.Retried; got != 0 {
			t.Errorf("retried: got %d, want 0", got)
		}
	})
}

func TestRequest_InvalidHeader(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
			return fastcgitest.Reply("Status: 99 No\r\n\r\nbody")
		}
		_, err := tt.get("/a.php")
		if _, ok := errors.AsType[*fastcgi.ProtocolError](err); !ok {
			t.Errorf("got %v, want a protocol error", err)
		}
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits; len(got) != 0 {
			t.Errorf("exits: got %v, want none", got)
		}
	})
}
