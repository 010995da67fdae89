package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// runSlow runs f over a pool whose requests take that long, and are slow after 5
// seconds. Maintenance runs every 1.25 s: when the first request has run for 4.7 s
// and for 5.95 s.
func runSlow(t *testing.T, workers int, takes time.Duration, f func(tt *tester)) {
	t.Helper()
	s := static(workers)
	s.SlowRequest, s.BacktraceDepth = 5*time.Second, 20
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return append(fastcgitest.Response{fastcgitest.Sleep(takes)}, fastcgitest.OK("hello")...)
		}
		time.Sleep(300 * time.Millisecond)
		f(tt)
	})
}

// setActivity makes Activity return a and err after a delay.
func (tt *tester) setActivity(takes time.Duration, e Activity, err error) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.activity = func(*fakeProcess) (Activity, error) {
		time.Sleep(takes)
		return e, err
	}
}

var inAQuery = Activity{
	Backtrace: []string{"mysqli_query", "{main} /a.php:3"},
	BlockedOn: "poll 10.0.0.5:3306",
}

// slow returns the records of slow requests so far.
func (tt *tester) slow() []observer.LoggedEntry {
	tt.settle()
	return tt.logged.FilterMessage("slow request").All()
}

// wantSlow checks that there is one record, and its fields.
func (tt *tester) wantSlow(want string) {
	tt.Helper()
	records := tt.slow()
	if len(records) != 1 {
		tt.Fatalf("got %d records of slow requests, want one: %v", len(records), records)
	}
	m := records[0].ContextMap()
	got := fmt.Sprintf("%v %v %v, %v s, cpu %v, in %v, on %v", m["method"], m["uri"], m["script"], m["duration"], m["cpu_seconds"], m["backtrace"], m["blocked_on"])
	if got != want || m["worker"] != uint64(1) || m["pid"] != int64(1) {
		tt.Errorf("got %s (%v), want %s", got, m, want)
	}
	if got := tt.Stats().Requests.Slow; got != 1 {
		tt.Errorf("slow: got %d, want 1", got)
	}
}

func TestSlowRequest_LoggedOnce(t *testing.T) {
	runSlow(t, 1, 20*time.Second, func(tt *tester) {
		tt.setActivity(10*time.Millisecond, inAQuery, nil)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantSlow("GET /a.php /a.php, 5.95 s, cpu 1.5, in [mysqli_query {main} /a.php:3], on poll 10.0.0.5:3306")
	})
}

func TestSlowRequest_BacktraceDepth(t *testing.T) {
	runSlow(t, 1, 20*time.Second, func(tt *tester) {
		tt.setActivity(0, inAQuery, nil)
		s := static(1)
		s.SlowRequest, s.BacktraceDepth = 5*time.Second, 1
		tt.Configure(s)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantSlow("GET /a.php /a.php, 5 s, cpu 1.5, in [mysqli_query], on poll 10.0.0.5:3306")
	})
}

func TestSlowRequest_EndedBeforeTick(t *testing.T) {
	// It exceeds the limit and ends between two rounds of maintenance.
	runSlow(t, 1, 5100*time.Millisecond, func(tt *tester) {
		tt.setActivity(0, inAQuery, nil)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantSlow("GET /a.php /a.php, 5.1 s, cpu 1.5, in <nil>, on <nil>")
	})
}

func TestSlowRequest_BacktraceOfNextRequest(t *testing.T) {
	runSlow(t, 1, 6200*time.Millisecond, func(tt *tester) {
		tt.setActivity(500*time.Millisecond, inAQuery, nil) // the request ends meanwhile
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		next := tt.acquire().wantLease()
		time.Sleep(time.Second)
		next.Release()
		tt.wantSlow("GET /a.php /a.php, 5.95 s, cpu 1.5, in <nil>, on <nil>")
	})
}

func TestSlowRequest_BacktraceUnsupported(t *testing.T) {
	runSlow(t, 2, 10*time.Second, func(tt *tester) {
		tt.setActivity(0, Activity{BlockedOn: "running"}, fmt.Errorf("no rights: %w", errors.ErrUnsupported))
		for generation := 1; generation <= 2; generation++ {
			for range 2 {
				if _, err := tt.get("/a.php"); err != nil {
					t.Fatal(err)
				}
			}
			records := tt.logged.FilterMessageSnippet("PHP backtraces unavailable").All()
			if len(records) != generation {
				t.Fatalf("got %d records in %d generations, want one each: %v", len(records), generation, records)
			}
			m := records[generation-1].ContextMap()
			if m["generation"] != int64(generation) || !strings.Contains(fmt.Sprint(m["error"]), "no rights") {
				t.Errorf("got %v", m)
			}
			if err := tt.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		records := tt.slow()
		if len(records) != 4 || records[3].ContextMap()["blocked_on"] != "running" || records[3].ContextMap()["backtrace"] != nil {
			t.Errorf("got %v, want 4 records with blocked_on alone", records)
		}
	})
}

func TestSlowRequest_BacktraceUnstable(t *testing.T) {
	runSlow(t, 1, 10*time.Second, func(tt *tester) {
		tt.setActivity(0, Activity{BlockedOn: "running"}, errors.New("unstable stack"))
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantSlow("GET /a.php /a.php, 5.95 s, cpu 1.5, in <nil>, on running")
		if records := tt.logged.FilterMessageSnippet("PHP backtraces unavailable").All(); len(records) > 0 {
			t.Errorf("got %v", records)
		}
	})
}

// Reading /proc of a process that is stuck in the kernel blocks.
func TestSlowRequest_BacktraceHangs(t *testing.T) {
	runSlow(t, 4, 20*time.Second, func(tt *tester) {
		hung := make(chan struct{})
		tt.mu.Lock()
		tt.activity = func(*fakeProcess) (Activity, error) {
			<-hung
			return inAQuery, nil
		}
		tt.mu.Unlock()
		var requests sync.WaitGroup
		for range 3 {
			requests.Go(func() {
				if _, err := tt.get("/a.php"); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(8 * time.Second)
		if got := len(tt.slow()); got != 3 {
			t.Errorf("got %d records while one hangs, want 3", got)
		}
		requests.Wait()
		close(hung)
	})
}

func TestSlowRequest_BacktraceDoesNotDelayClose(t *testing.T) {
	runSlow(t, 4, 6300*time.Millisecond, func(tt *tester) {
		tt.setActivity(5*time.Second, inAQuery, nil)
		var requests sync.WaitGroup
		for range 3 { // one backtrace is read, two wait for that
			requests.Go(func() {
				if _, err := tt.get("/a.php"); err != nil {
					t.Error(err)
				}
			})
		}
		requests.Wait()
		start := time.Now()
		tt.close()
		if elapsed := time.Since(start); elapsed > 0 {
			t.Errorf("Close took %v", elapsed)
		}
		if got := len(tt.slow()); got != 3 {
			t.Errorf("got %d records, want 3", got)
		}
		time.Sleep(5 * time.Second) // the read that Close did not wait for
	})
}

func TestSlowRequest_BacktraceAfterHang(t *testing.T) {
	runSlow(t, 1, 20*time.Second, func(tt *tester) {
		tt.setActivity(time.Minute, inAQuery, nil)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantSlow("GET /a.php /a.php, 5.95 s, cpu 1.5, in <nil>, on <nil>")
		time.Sleep(time.Minute)
		tt.setActivity(0, inAQuery, nil)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		if records := tt.slow(); len(records) != 2 || records[1].ContextMap()["blocked_on"] != inAQuery.BlockedOn {
			t.Errorf("got %v, want a second record with blocked_on", records)
		}
	})
}

// Maintenance checks for slow requests only from time to time.
func TestSlowRequest_CountedAtEnd(t *testing.T) {
	s := static(1)
	s.SlowRequest = 300 * time.Millisecond
	run(t, s, func(tt *tester) {
		for _, elapsed := range []time.Duration{299 * time.Millisecond, 301 * time.Millisecond} {
			held := tt.acquire().wantLease()
			time.Sleep(elapsed)
			held.Release()
		}
		if got := tt.Stats().Requests.Slow; got != 1 {
			t.Errorf("%d requests were slow, want 1", got)
		}
	})
}
