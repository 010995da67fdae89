package pool

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// TestWorker_ExitsBeforeReturn makes a process exit just before its worker is made
// available again. p.watch has seen the worker leased and left the exit to us.
func TestWorker_ExitsBeforeReturn(t *testing.T) {
	for name, c := range map[string]struct {
		reason Reason
		end    func(*tester)
	}{
		"by a waiter that gave up": {Crashed, func(tt *tester) {
			held := tt.acquire().wantLease()
			p := tt.Pool
			p.mu.Lock()
			wt := p.getWaiterLocked(&Info{Script: "/unsent.php"}, nil)
			err := p.enqueueLocked(wt, false)
			p.mu.Unlock()
			if err != nil {
				tt.Fatal(err)
			}
			held.Release()
			tt.proc(0).end()
			tt.settle()
			p.mu.Lock()
			p.abandonWaiterLocked(wt)
			p.mu.Unlock()
			if got := tt.Stats().LastCrash.Request.Script; got != "" {
				tt.Errorf("the crash was attributed to %s, which was never sent", got)
			}
		}},
		"by a query": {Crashed, func(tt *tester) {
			l, err := tt.borrowIdle(0)
			if err != nil {
				tt.Fatal(err)
			}
			tt.proc(0).end()
			tt.settle()
			l.returnBorrowed(NoReason)
		}},
		"by a drain": {Crashed, func(tt *tester) {
			p := tt.proc(0)
			p.drained = func() Process {
				q := reconnect(p)
				p.end()
				time.Sleep(time.Nanosecond) // let p.watch run first
				return q
			}
			tt.abandon()
		}},
		"by a drain, killed after it had ended": {Recycled, func(tt *tester) {
			p := tt.proc(0)
			p.drained = func() Process {
				q := reconnect(p)
				p.once.Do(func() {}) // as if the signal could not reach the process any more
				if err := tt.Recycle(1, true); err != nil {
					tt.Error(err)
				}
				return q
			}
			tt.abandon()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := static(1)
			s.HealthInterval = 0
			run(t, s, func(tt *tester) {
				c.end(tt)
				time.Sleep(time.Second)
				tt.wantWorkers(1, 1)
				if got := tt.Stats().Exits; got[c.reason] != 1 || tt.alive() != 1 {
					t.Errorf("got exits %v and %d processes, want one %v and one process", got, tt.alive(), c.reason)
				}
			})
		})
	}
}

// reconnected is a fakeProcess with another connection.
type reconnected struct {
	*fakeProcess
	conn net.Conn
}

func reconnect(p *fakeProcess) *reconnected {
	client, server := net.Pipe()
	responder := fastcgitest.Responder{Handler: func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }, Values: p.values}
	go responder.Serve(server) // until the process exits
	go func() {
		<-p.done
		server.Close() // a pipe
		client.Close() // a pipe
	}()
	return &reconnected{p, client}
}

func (r *reconnected) Conn() *fastcgi.Conn { return fastcgi.NewConn(r.conn) }

func (r *reconnected) Stop(context.Context) error { return r.Kill() }

func (r *reconnected) Kill() error {
	select {
	case <-r.done:
	default:
		close(r.done)
	}
	return nil
}

// abandon makes a client disconnect during the response.
func (tt *tester) abandon() {
	tt.Helper()
	tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nab"), fastcgitest.Stall()}
	}
	_, leave, err := tt.send(context.Background(), "/a.php", true)
	if err != nil {
		tt.Fatal(err)
	}
	leave()
	tt.handler = func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }
}

func TestWorker_ExitsWhileIdle(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		tt.proc(0).end()
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Exits[Crashed]; got != 1 {
			t.Errorf("exits by crash: got %d, want 1", got)
		}
	})
}

func TestDrain_ClientDisconnects(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		hang := make(chan struct{})
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nab"), fastcgitest.Wait(hang), fastcgitest.End()}
		}
		x, free, err := tt.send(context.Background(), "/a.php", true)
		if err != nil {
			t.Fatal(err)
		}
		_ = x
		free() // the client disconnects before the end
		tt.wantWorkers(1, 0)
		if got := tt.Stats().Workers.Draining; got != 1 {
			t.Errorf("draining: got %d, want 1", got)
		}
		next := tt.acquire()
		next.wantWaiting()
		close(hang)
		time.Sleep(drainGrace)
		next.wantLease().Release()
	})
}

func TestRecycle_AfterRequest(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		held := tt.acquire().wantLease()
		if err := tt.Recycle(held.w.id, false); err != nil {
			t.Fatal(err)
		}
		tt.wantWorkers(2, 1)
		held.Release()
		tt.wantWorkers(2, 2)
		if got := tt.Stats().Exits[Recycled]; got != 1 {
			t.Errorf("exits: got %v, want one recycled", tt.Stats().Exits)
		}
		if err := tt.Recycle(9999, false); !errors.Is(err, ErrNoWorker) {
			t.Errorf("a worker that does not exist: got %v, want ErrNoWorker", err)
		}
	})
}

func TestRecycle_MaxRequests(t *testing.T) {
	s := static(1)
	s.MaxRequests = 3
	run(t, s, func(tt *tester) {
		for range 9 {
			if _, err := tt.get("/a.php"); err != nil {
				t.Fatal(err)
			}
		}
		tt.settle()
		if got := tt.Stats().Exits[MaxRequests]; got != 3 {
			t.Errorf("exits by max_requests: got %d, want 3", got)
		}
	})
}

func TestRecycle_MaxAgeAndMaxMemory(t *testing.T) {
	s := static(1)
	s.MaxAge, s.MaxMemory = time.Hour, 100
	run(t, s, func(tt *tester) {
		time.Sleep(time.Hour + time.Hour/10)
		tt.settle()
		if got := tt.Stats().Exits[MaxAge]; got != 1 {
			t.Errorf("exits by max_age: got %d, want 1", got)
		}
		tt.proc(-1).memory.Store(101)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.settle()
		if got := tt.Stats().Exits[MaxMemory]; got != 1 {
			t.Errorf("exits by max_memory: got %d, want 1", got)
		}
		tt.wantWorkers(1, 1)
	})
}

// TestWorker_LeftGroup has a script move its worker to another process group.
func TestWorker_LeftGroup(t *testing.T) {
	run(t, static(2), func(tt *tester) {
		l := tt.acquire().wantLease()
		first := tt.proc(1)
		first.leftGroup.Store(true)
		waiting := tt.acquire().wantLease() // the other worker
		third := tt.acquire()
		l.Release()
		again := third.wantLease() // a request that waits gets the worker all the same
		again.Release()
		waiting.Release()
		tt.settle()
		select {
		case <-first.done:
		default:
			tt.Error("the idle worker was not stopped")
		}
		if n := tt.Stats().Exits[LeftGroup]; n != 1 {
			tt.Errorf("got %d workers that left their group, want 1", n)
		}
		if n := tt.Stats().Workers.Idle; n != 2 {
			tt.Errorf("got %d idle workers, want 2", n)
		}
		if n := tt.logged.FilterMessageSnippet("another process group").Len(); n != 1 {
			tt.Errorf("got %d log records, want 1", n)
		}
	})
}
