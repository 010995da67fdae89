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

func TestDrainReturnsTheSameWorkerWhenItsScriptHasEnded(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			p := mustLaunch(t, l) // three more children stand idle
			busy(t, p, "sleep.php", url.Values{"ms": {"300"}})
			begun := time.Now()
			q, err := p.Drain(within(t))
			if err != nil {
				t.Fatalf("Drain: %v", err)
			}
			if q.PID() != p.PID() {
				t.Errorf("drained %d, got %d", p.PID(), q.PID())
			}
			if took := time.Since(begun); took < 200*time.Millisecond {
				t.Errorf("it took %v, the script 300 ms", took)
			}
			if err := p.Kill(); err != nil {
				t.Errorf("Kill of the former: %v", err)
			}
			if _, err := p.Drain(within(t)); err == nil {
				t.Error("what was drained can be drained again")
			}
			if got := run(t, q, "pid.php", nil); got != strconv.Itoa(q.PID()) {
				t.Errorf("the script says %s, PID %d", got, q.PID())
			}
		})
	}
}

func TestTwoDrainsGetTheirOwnWorkersBack(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			l := start(t, kind, options(t))
			slow, fast := mustLaunch(t, l), mustLaunch(t, l)
			busy(t, slow, "sleep.php", url.Values{"ms": {"500"}})
			busy(t, fast, "sleep.php", url.Values{"ms": {"150"}})
			var got [2]*phpbin.Process
			var errs [2]error
			done := make(chan int, 2)
			for i, p := range []*phpbin.Process{slow, fast} {
				go func() {
					got[i], errs[i] = p.Drain(within(t))
					done <- i
				}()
			}
			if first := <-done; first != 1 {
				t.Error("the slow one was free first")
			}
			<-done
			for i, p := range []*phpbin.Process{slow, fast} {
				if errs[i] != nil {
					t.Fatalf("Drain: %v", errs[i])
				}
				if got[i].PID() != p.PID() {
					t.Errorf("drained %d, got %d", p.PID(), got[i].PID())
				}
			}
			mustLaunch(t, l)
			mustLaunch(t, l)
		})
	}
}

func TestKillCutsADrainShort(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, slots := range []int{1, 4} {
				o := options(t)
				o.Slots = slots
				l := start(t, kind, o)
				p := mustLaunch(t, l)
				spin(t, p)
				type result struct {
					p   *phpbin.Process
					err error
				}
				drained := make(chan result, 1)
				go func() {
					q, err := p.Drain(within(t))
					drained <- result{q, err}
				}()
				select {
				case r := <-drained:
					t.Fatalf("drained while the script runs: %v", r)
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
					t.Errorf("the script says %s, PID %d, formerly %d", got, r.p.PID(), p.PID())
				}
			}
		})
	}
}

func TestADrainThatIsGivenUpKeepsItsWorker(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots = 1
			l := start(t, kind, o)
			p := mustLaunch(t, l)
			spin(t, p)
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if q, err := p.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || q != nil {
				t.Fatalf("Drain: %v, %v", q, err)
			}
			if l.Slots() == 1 {
				if _, err := l.Launch(within(t)); !errors.Is(err, phpbin.ErrNoSlot) {
					t.Errorf("its slot is free: %v", err)
				}
			}
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			closed(t, prompt, "done", p.Done())
			mustLaunch(t, l)
		})
	}
}

func TestCloseEndsADrain(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			o := options(t)
			o.Slots = 2
			l := start(t, kind, o)
			p := mustLaunch(t, l)
			spin(t, p)
			drained := make(chan error, 1)
			go func() {
				_, err := p.Drain(context.Background())
				drained <- err
			}()
			eventually(t, prompt, "draining", func() bool {
				_, err := p.Conn().Write(nil)
				return err != nil
			})
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := l.Close(ctx); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if err := <-drained; !errors.Is(err, phpbin.ErrClosed) {
				t.Errorf("Drain: %v", err)
			}
		})
	}
}
