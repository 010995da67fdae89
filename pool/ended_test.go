package pool

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// TestWorker_ExitsBeforeReturn has a process end at the
// moment when its worker is taken back: who watches it has seen it lent.
func TestWorker_ExitsBeforeReturn(t *testing.T) {
	for name, c := range map[string]struct {
		reason Reason
		end    func(*tester)
	}{
		"by who was served while it left": {Crashed, func(tt *tester) {
			held := tt.acquire().wantLease()
			p := tt.Pool
			p.mu.Lock()
			wt := p.getWaiterLocked(&Info{Script: "/unsent.php"}, nil)
			_, err := p.enqueueLocked(wt, false)
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
				tt.Errorf("%s is blamed, which was never sent", got)
			}
		}},
		"by a question": {Crashed, func(tt *tester) {
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
				time.Sleep(time.Nanosecond) // who watches it sees that first
				return q
			}
			tt.abandon()
		}},
		"by a drain, killed when that was over": {Recycled, func(tt *tester) {
			p := tt.proc(0)
			p.drained = func() Process {
				q := reconnect(p)
				p.once.Do(func() {}) // a signal does not reach the process by its old handle any more
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

// reconnected is the same process with another connection.
type reconnected struct {
	*fakeProcess
	conn net.Conn
}

func reconnect(p *fakeProcess) *reconnected {
	client, server := net.Pipe()
	responder := fastcgitest.Responder{Handler: func(*fastcgitest.Request) fastcgitest.Answer { return fastcgitest.OK("hello") }, Values: p.values}
	go responder.Serve(server) // it ends with the process
	go func() {
		<-p.done
		server.Close() // a pipe
		client.Close() // a pipe
	}()
	return &reconnected{p, client}
}

func (r *reconnected) Conn() net.Conn { return r.conn }

func (r *reconnected) Stop(context.Context) error { return r.Kill() }

func (r *reconnected) Kill() error {
	select {
	case <-r.done:
	default:
		close(r.done)
	}
	return nil
}

// abandon has a client leave while the worker answers.
func (tt *tester) abandon() {
	tt.Helper()
	tt.handler = func(*fastcgitest.Request) fastcgitest.Answer {
		return fastcgitest.Answer{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nab"), fastcgitest.Stall()}
	}
	_, leave, err := tt.begun(context.Background(), "/a.php", true)
	if err != nil {
		tt.Fatal(err)
	}
	leave()
	tt.handler = func(*fastcgitest.Request) fastcgitest.Answer { return fastcgitest.OK("hello") }
}

// awaited is an ondemand pool that may rest at once, whose only worker has ended
// while a request waits, so soon after so many failures that the next one may
// not be launched yet.
func awaited(t *testing.T, failures int, f func(tt *tester, waits *acquiring)) {
	t.Helper()
	s := static(1)
	s.Manager, s.MasterIdleTimeout, s.IdleTimeout = OnDemand, 0, time.Minute
	run(t, s, func(tt *tester) {
		first := tt.acquire().wantLease()
		waits := tt.acquire()
		tt.Pool.mu.Lock()
		for range failures {
			tt.failures.add(time.Now())
		}
		tt.Pool.mu.Unlock()
		tt.proc(0).end()
		first.Release()
		f(tt, waits)
	})
}

func TestGeneration_KeptWhileRequestWaits(t *testing.T) {
	awaited(t, immediateRetries+1, func(tt *tester, waits *acquiring) {
		p := tt.Pool
		p.mu.Lock()
		next, gone := p.nextTickLocked(p.clock()), p.gen == nil
		p.mu.Unlock()
		if next == 0 || gone {
			t.Errorf("the pool is looked after in %v, want not before a worker may be launched", next)
			waits.cancel() // or the clock stands still for ever
			return
		}
		time.Sleep(time.Second)
		waits.wantLease().Release()
	})
}

func TestGeneration_RetiredWhenLastWaiterGivesUp(t *testing.T) {
	awaited(t, immediateRetries+6, func(tt *tester, waits *acquiring) {
		tt.settle()
		waits.cancel()
		tt.settle()
		p := tt.Pool
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.gen != nil {
			t.Error("the generation is still there, though nobody waits for it")
		}
	})
}
