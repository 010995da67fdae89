package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// booting are the settings of a pool whose workers run a worker script.
func booting(n int) Settings {
	s := static(n)
	s.Boots, s.LaunchFailures, s.StartTimeout = true, 4, 30*time.Second
	return s
}

// endScript makes the worker script end, with PHP's fatal error or "".
func (p *fakeProcess) endScript(text string) {
	p.scriptEnd.Store(&text)
	p.end()
}

// A script that ends by itself is no crash: nothing is logged as one, and the next worker
// is launched at once.
func TestScriptEnd_IsNoCrash(t *testing.T) {
	run(t, booting(1), func(tt *tester) {
		for range 5 {
			if _, err := tt.get("/a.php"); err != nil {
				t.Fatal(err)
			}
			tt.proc(tt.launched() - 1).endScript("")
			time.Sleep(time.Millisecond)
			tt.wantWorkers(1, 1)
		}
		s := tt.Stats()
		if s.Exits[ScriptEnded] != 5 || s.Exits[Crashed] != 0 || !s.LastCrash.Time.IsZero() {
			t.Errorf("got exits %v and the last crash %v", s.Exits, s.LastCrash)
		}
		tt.settle()
		if n := tt.logged.FilterMessage("worker exited unexpectedly").Len(); n != 0 {
			t.Errorf("%d crashes were logged", n)
		}
	})
}

// A request whose script ends before it responds gets PHP's error and is not sent again,
// whatever its method: it may end the next script too.
func TestScriptEnd_DuringARequest(t *testing.T) {
	run(t, booting(2), func(tt *tester) {
		requests := 0
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			requests++
			tt.mu.Lock()
			procs := slices.Clone(tt.procs)
			tt.mu.Unlock()
			for _, p := range procs {
				p.endScript("PHP Fatal error:  oh no")
			}
			return fastcgitest.Response{fastcgitest.Stall()}
		}
		_, err := tt.get("/a.php")
		script, ok := errors.AsType[*ScriptError](err)
		if !ok || !strings.Contains(script.Error(), "oh no") || requests != 1 {
			t.Errorf("got %v after %d requests", err, requests)
		}
		tt.settle() // log records are written without the mutex
		if n := tt.logged.FilterMessage("worker script ended").Len(); n == 0 {
			t.Error("the end was not logged")
		}
	})
}

// A script that ends after a request, without being ready for another, is not one whose
// client has disconnected, though its connection ends a little earlier than the script.
func TestScriptEnd_AfterARequest(t *testing.T) {
	run(t, booting(1), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nab"), fastcgitest.Stall()}
		}
		p := tt.proc(0)
		p.drained = func() Process {
			time.AfterFunc(drainGrace/2, func() { p.endScript("") })
			return nil
		}
		_, free, err := tt.send(context.Background(), "/a.php", true)
		if err != nil {
			t.Fatal(err)
		}
		free()
		time.Sleep(3 * drainGrace)
		if exits := tt.Stats().Exits; exits[ScriptEnded] != 1 || exits[Abandoned] != 0 {
			t.Errorf("got exits %v, want one script that has ended", exits)
		}
	})
}

// Scripts that end before their first request are launched more and more rarely.
func TestScriptEnd_BeforeTheFirstRequest(t *testing.T) {
	run(t, booting(1), func(tt *tester) {
		for range 20 {
			time.Sleep(maxBackoff)
			tt.proc(tt.launched() - 1).endScript("")
		}
		time.Sleep(time.Minute)
		if n := tt.launched(); n > 25 {
			t.Errorf("%d launches", n)
		}
		if n := tt.logged.FilterMessage("worker scripts end before their first request; delaying further launches").Len(); n != 0 {
			t.Errorf("logged %d times for scripts that ran for seconds", n)
		}
		for range 6 {
			tt.proc(tt.launched() - 1).endScript("")
			time.Sleep(2 * time.Second)
		}
		time.Sleep(maxBackoff)
		tt.wantWorkers(1, 1)
	})
}

// Requests wait until a script has failed to start as often as LaunchFailures says, and
// get PHP's words then.
func TestBootFailure_RejectsAfterSome(t *testing.T) {
	run(t, booting(1), func(tt *tester) {
		tt.refuse(&BootError{errors.New("syntax error")})
		tt.proc(0).end()
		time.Sleep(time.Millisecond)
		a := tt.acquire()
		a.wantWaiting()
		time.Sleep(maxBackoff)
		boot, launch := a.wantBootError()
		if boot == nil || launch == nil || launch.RetryIn <= 0 {
			t.Errorf("got %v", a.err)
		}
		if n := tt.Stats().Exits[BootFailed]; n < 4 {
			t.Errorf("got %d failed starts", n)
		}
		tt.refuse(&BootError{errors.New("class not found")})
		time.Sleep(2 * maxBackoff)
		if n := tt.logged.FilterMessage("cannot launch a worker; retrying").Len(); n != 2 {
			t.Errorf("logged %d times, want once for each error", n)
		}
		tt.refuse(nil)
		time.Sleep(2 * maxBackoff)
		if _, err := tt.get("/a.php"); err != nil {
			t.Error(err)
		}
	})
}

func (a *acquiring) wantBootError() (*BootError, *LaunchError) {
	a.tt.Helper()
	<-a.done
	boot, _ := errors.AsType[*BootError](a.err)
	launch, _ := errors.AsType[*LaunchError](a.err)
	return boot, launch
}

// A script that takes long to start is no sign of a master that hangs.
func TestBoot_MayTakeLong(t *testing.T) {
	run(t, booting(1), func(tt *tester) {
		tt.proc(0).end()
		tt.generation(0).stuck.Store(true)
		time.Sleep(4 * hangTimeout)
		if n := tt.started(); n != 1 || tt.Stats().MasterExits != 0 {
			t.Errorf("%d generations were started", n)
		}
		tt.generation(0).stuck.Store(false)
		time.Sleep(time.Minute)
	})
}

// Workers whose scripts reach a limit at the same time are replaced one after the other,
// at most a quarter of them at a time.
func TestRecycle_QuarterOfWorkerScripts(t *testing.T) {
	for n, most := range map[int]int{1: 1, 3: 1, 8: 2} {
		s := booting(n)
		s.MaxAge = time.Hour
		run(t, s, func(tt *tester) {
			tt.mu.Lock()
			tt.launch = func(context.Context) error {
				time.Sleep(10 * time.Second) // the script boots
				return nil
			}
			tt.mu.Unlock()
			time.Sleep(time.Hour)
			for range 10 * 60 * 2 {
				time.Sleep(100 * time.Millisecond)
				if serving := tt.Stats().Workers.Idle; serving < n-most {
					t.Fatalf("%d of %d workers serve, want at least %d", serving, n, n-most)
				}
			}
			if got := tt.Stats().Exits[MaxAge]; got != uint64(n) {
				t.Errorf("%d of %d workers were replaced", got, n)
			}
			tt.wantWorkers(n, n)
		})
	}
}
