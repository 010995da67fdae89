package pool

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// killer makes the process exit during the first n requests.
func (tt *tester) killer(n int32) {
	var left atomic.Int32
	left.Store(n)
	tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
		if left.Add(-1) < 0 {
			return fastcgitest.OK("hello")
		}
		tt.killBusy()
		return fastcgitest.Response{fastcgitest.Stall()}
	}
}

// killBusy makes all leased processes exit.
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
			t.Errorf("got %q, %v; want the response of a second worker", body, err)
		}
		s := tt.Stats()
		if s.Requests.Retried != 1 || s.Exits[Crashed] != 1 {
			t.Errorf("got %d retried, %d crashed, want 1 and 1", s.Requests.Retried, s.Exits[Crashed])
		}
		if c := s.LastCrash; c.Request.Script != "/a.php" || !c.Time.Equal(time.Now()) || c.ExitStatus != "signal: killed" {
			t.Errorf("got last crash %+v, want that of /a.php", c)
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
			t.Errorf("%d workers crashed, want 2", got)
		}
	})
}

// All workers of a pool are killed at once, and have not exited yet: the second attempt
// waits for one that lives.
func TestRetry_AllKilled(t *testing.T) {
	run(t, static(3), func(tt *tester) {
		killed := map[string]bool{}
		for i := range 3 {
			tt.proc(i).mute()
			killed[time.Duration(tt.proc(i).pid).String()] = true
		}
		tt.handler = func(r *fastcgitest.Request) fastcgitest.Response {
			if killed[r.Params["pid"]] {
				return fastcgitest.Response{func(*fastcgitest.Wire) error { tt.killBusy(); return nil }, fastcgitest.Stall()}
			}
			return fastcgitest.OK("served")
		}
		if body, err := tt.do(context.Background(), "/a.php", true); body != "served" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		if s := tt.Stats().Requests; s.Retried != 1 || s.Failed != 0 {
			t.Errorf("got %+v, want one retried", s)
		}
		tt.wantWorkers(3, 3)
	})
}

func TestRetry_NotAfterFirstByte(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{
				fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nhalf"), fastcgitest.Flush(),
				func(*fastcgitest.Wire) error { tt.killBusy(); return nil }, fastcgitest.Stall(),
			}
		}
		body, err := tt.do(context.Background(), "/a.php", true)
		if err == nil || body != "half" {
			t.Errorf("got %q, %v; want the first part of the body, and an error", body, err)
		}
		if got := tt.Stats().Requests.Retried; got != 0 {
			t.Errorf("retried: got %d, want 0", got)
		}
		tt.wantWorkers(2, 2)
	})
}

func TestRetry_NotAfterClientDisconnect(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		ctx, cancel := context.WithCancel(context.Background())
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
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
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
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

// A client that stalls while its body is streamed is no failure of PHP: PHP gets what
// has arrived, and the worker serves on.
func TestRequest_StreamedBodyStalls(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		var got string
		tt.handler = func(r *fastcgitest.Request) fastcgitest.Response {
			got = string(r.Body)
			return fastcgitest.OK("not delivered")
		}
		in, out := io.Pipe()
		go io.WriteString(out, "part")
		r := fastcgi.NewRequest()
		r.Body, r.ContentLength, r.StreamBody, r.BodyTimeout = in, 1000, true, time.Second
		_, err := tt.Do(context.Background(), &Request{FastCGI: r, Info: Info{Script: "/a.php"}, Repeatable: true})
		out.Close()
		r.Free()
		synctest.Wait()
		if !errors.Is(err, fastcgi.ErrBodyTimeout) || got != "part" {
			t.Errorf("got %v, and PHP got %q, want ErrBodyTimeout and the part", err, got)
		}
		time.Sleep(time.Second) // until it has drained
		if s := tt.Stats(); s.Requests.Failed != 0 || s.Requests.Retried != 0 || s.Exits[Crashed] != 0 {
			t.Errorf("got %+v, %d crashed, want none failed, retried or crashed", s.Requests, s.Exits[Crashed])
		}
		tt.wantWorkers(1, 1)
	})
}
