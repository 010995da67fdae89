package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestRequestTimeout_Soft(t *testing.T) {
	s := static(1)
	s.RequestTimeout = 10 * time.Second
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return append(fastcgitest.Response{untilSoft(tt.proc(0))}, fastcgitest.Reply("Status: 500\r\n\r\ntime is over")...)
		}
		start := time.Now()
		if _, err := tt.get("/a.php"); !errors.Is(err, ErrRequestTimeout) {
			t.Errorf("got %v, want ErrRequestTimeout", err)
		}
		if elapsed := time.Since(start).Round(time.Second); elapsed != 10*time.Second {
			t.Errorf("took %v, want 10s", elapsed)
		}
		tt.wantWorkers(1, 1)
		if got := tt.Stats().Exits; len(got) != 0 {
			t.Errorf("exits: got %v, want none", got)
		}
	})
}

// untilSoft waits for the soft timeout.
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
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		start := time.Now()
		if _, err := tt.get("/a.php"); !errors.Is(err, ErrRequestTimeout) {
			t.Errorf("got %v, want ErrRequestTimeout", err)
		}
		if elapsed := time.Since(start); elapsed != 10*time.Second+killDelay {
			t.Errorf("took %v, want 12s", elapsed)
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
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{fastcgitest.Wait(hang)}
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
