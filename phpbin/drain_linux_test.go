package phpbin_test

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func TestDrain_SameWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			p := mustLaunch(t, l) // three more children are idle
			startBusy(t, p, "sleep.php", url.Values{"ms": {"300"}})
			start := time.Now()
			q, err := p.Drain(testContext(t))
			if err != nil {
				t.Fatalf("Drain: %v", err)
			}
			if q.PID() != p.PID() {
				t.Errorf("drained %d: got %d, want the same process", p.PID(), q.PID())
			}
			if elapsed := time.Since(start); elapsed < 200*time.Millisecond {
				t.Errorf("Drain took %v, the script 300 ms", elapsed)
			}
			if err := p.Kill(); err != nil {
				t.Errorf("Kill after Drain: %v", err)
			}
			if _, err := p.Drain(testContext(t)); err == nil {
				t.Error("a second Drain succeeded")
			}
			if got := run(t, q, "pid.php", nil); got != strconv.Itoa(q.PID()) {
				t.Errorf("the script reports pid %s, want %d", got, q.PID())
			}
		})
	}
}

func TestDrain_TwoWorkers(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := startLauncher(t, kind, options(t))
			slow, fast := mustLaunch(t, l), mustLaunch(t, l)
			startBusy(t, slow, "sleep.php", url.Values{"ms": {"500"}})
			startBusy(t, fast, "sleep.php", url.Values{"ms": {"150"}})
			var got [2]*phpbin.Process
			var errs [2]error
			done := make(chan int, 2)
			for i, p := range []*phpbin.Process{slow, fast} {
				go func() {
					got[i], errs[i] = p.Drain(testContext(t))
					done <- i
				}()
			}
			if first := <-done; first != 1 {
				t.Error("the slow worker was free first")
			}
			<-done
			for i, p := range []*phpbin.Process{slow, fast} {
				if errs[i] != nil {
					t.Fatalf("Drain: %v", errs[i])
				}
				if got[i].PID() != p.PID() {
					t.Errorf("drained %d: got %d, want the same process", p.PID(), got[i].PID())
				}
			}
			mustLaunch(t, l)
			mustLaunch(t, l)
		})
	}
}

func TestDrain_Kill(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, slots := range []int{1, 4} {
				o := options(t)
				o.Slots = slots
				l := startLauncher(t, kind, o)
				p := mustLaunch(t, l)
				spin(t, p)
				type result struct {
					p   *phpbin.Process
					err error
				}
				drained := make(chan result, 1)
				go func() {
					q, err := p.Drain(testContext(t))
					drained <- result{q, err}
				}()
				select {
				case r := <-drained:
					t.Fatalf("Drain returned while the script runs: %v", r)
				case <-time.After(100 * time.Millisecond):
				}
				if err := p.Kill(); err != nil {
					t.Fatalf("Kill: %v", err)
				}
				r := <-drained
				if r.err != nil {
					t.Fatalf("Drain: %v", r.err)
				}
				if got := run(t, r.p, "pid.php", nil); got != strconv.Itoa(r.p.PID()) || r.p.PID() == p.PID() {
					t.Errorf("the script reports pid %s, want %d, not the killed %d", got, r.p.PID(), p.PID())
				}
			}
		})
	}
}

func TestDrain_ContextEnds(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots = 1
			l := startLauncher(t, kind, o)
			p := mustLaunch(t, l)
			spin(t, p)
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if q, err := p.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || q != nil {
				t.Fatalf("Drain: got %v, %v, want DeadlineExceeded", q, err)
			}
			if l.Slots() == 1 {
				if _, err := l.Launch(testContext(t)); !errors.Is(err, phpbin.ErrNoSlot) {
					t.Errorf("Launch: got %v, want ErrNoSlot", err)
				}
			}
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			waitClosed(t, promptLimit, "done", p.Done())
			mustLaunch(t, l)
		})
	}
}

func TestDrain_Close(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots = 2
			l := startLauncher(t, kind, o)
			p := mustLaunch(t, l)
			spin(t, p)
			drained := make(chan error, 1)
			go func() {
				_, err := p.Drain(context.Background())
				drained <- err
			}()
			eventually(t, promptLimit, "draining", func() bool {
				_, err := p.Conn().Write(nil)
				return err != nil
			})
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := l.Close(ctx); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if err := <-drained; !errors.Is(err, phpbin.ErrClosed) {
				t.Errorf("Drain: got %v, want ErrClosed", err)
			}
		})
	}
}
