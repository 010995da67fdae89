package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

func TestQuarantine_RepeatedCrashes(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Crashes: 3, Window: time.Minute, Period: time.Minute}
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
		if _, ok := tt.Stats().Quarantined["/bad.php at /bad.php"]; !ok {
			t.Error("the script is not in Stats.Quarantined")
		}
		time.Sleep(time.Minute + time.Second)
		if body, err := tt.get("/bad.php"); err != nil || body != "hello" {
			t.Errorf("a minute later: got %q, %v", body, err)
		}
	})
}

// One path of a front controller crashes: only that is rejected.
func TestQuarantine_OnlyThePathThatCrashes(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Crashes: 3, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		tt.killer(1 << 30)
		for range 3 {
			if _, err := tt.getAt("/index.php", "/crash"); !errors.Is(err, ErrWorkerDied) {
				t.Fatalf("got %v, want ErrWorkerDied", err)
			}
		}
		tt.killer(0)
		if _, err := tt.getAt("/index.php", "/crash"); !errors.Is(err, ErrQuarantined) {
			t.Errorf("the path that crashed: got %v, want ErrQuarantined", err)
		}
		if _, err := tt.getAt("/index.php", "/"); err != nil {
			t.Errorf("another path: %v", err)
		}
		if _, ok := tt.Stats().Quarantined["/index.php at /crash"]; !ok {
			t.Errorf("got %v in quarantine", tt.Stats().Quarantined)
		}
	})
}

// A path that has been served within the window is not quarantined, however many
// crashes come after each other.
func TestQuarantine_NotIfServedWithinWindow(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Crashes: 3, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		tt.killer(1)
		tt.do(context.Background(), "/index.php", false) // it crashes
		if _, err := tt.get("/index.php"); err != nil {
			t.Fatalf("a request that does not crash: %v", err)
		}
		tt.killer(1 << 30)
		for range 10 {
			if _, err := tt.do(context.Background(), "/index.php", false); !errors.Is(err, ErrWorkerDied) {
				t.Fatalf("got %v, want ErrWorkerDied", err)
			}
		}
		time.Sleep(time.Minute + time.Second)
		for range 3 {
			tt.do(context.Background(), "/index.php", false) // it crashes
		}
		if _, err := tt.get("/index.php"); !errors.Is(err, ErrQuarantined) {
			t.Errorf("not served within the window: got %v, want ErrQuarantined", err)
		}
	})
}

// A request that is retried and crashes a second worker counts once.
func TestQuarantine_RetryCountsOnce(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Crashes: 3, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		tt.killer(1 << 30)
		for range 3 {
			if _, err := tt.get("/bad.php"); !errors.Is(err, ErrWorkerDied) {
				t.Fatalf("got %v, want ErrWorkerDied", err)
			}
		}
		if _, err := tt.get("/bad.php"); !errors.Is(err, ErrQuarantined) {
			t.Errorf("after three requests: got %v, want ErrQuarantined", err)
		}
	})
}

// Clients choose the paths: records of them must not use up the memory.
func TestQuarantine_LimitedRecords(t *testing.T) {
	s := static(1)
	s.Quarantine = Quarantine{Crashes: 2, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		crash := func(path string) (records int) {
			tt.Pool.mu.Lock()
			defer tt.Pool.mu.Unlock()
			tt.recordCrashLocked(&Info{Script: "/index.php", URI: path})
			return len(tt.quarantine.records)
		}
		for i := range 2 * maxCrashRecords {
			crash(fmt.Sprint("/", i))
		}
		if n := crash("/more"); n != maxCrashRecords {
			t.Errorf("got %d records, want %d", n, maxCrashRecords)
		}
		time.Sleep(2 * time.Minute)
		crash("/" + strings.Repeat("x", maxCrashPath))
		if n := crash("/"); n != 1 {
			t.Errorf("two minutes later, and a path that is too long: got %d records, want 1", n)
		}
	})
}

// Requests that crash their workers must not delay launches: others wait for them.
func TestQuarantine_CrashesDelayNoLaunch(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		for range 20 {
			tt.killer(1)
			if _, err := tt.do(context.Background(), "/bad.php", false); !errors.Is(err, ErrWorkerDied) {
				t.Fatalf("got %v, want ErrWorkerDied", err)
			}
		}
		start := time.Now()
		if _, err := tt.get("/good.php"); err != nil || time.Since(start) > 0 {
			t.Errorf("another request: got %v after %v, want no error and no delay", err, time.Since(start))
		}
	})
}

// The process that takes over the slot may exit at once: the script of its
// predecessor did not cause that.
func TestQuarantine_NotForCrashOfReplacement(t *testing.T) {
	s := static(1)
	s.Quarantine = Quarantine{Crashes: 2, Window: time.Minute, Period: time.Minute}
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

// A crash of an idle worker must not be attributed to its last request.
func TestQuarantine_NotForIdleCrash(t *testing.T) {
	s := static(2)
	s.Quarantine = Quarantine{Crashes: 2, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		var leases []Lease
		for range 2 {
			lease, err := tt.Acquire(context.Background(), Info{Script: "/a.php", URI: "/a.php"})
			if err != nil {
				t.Fatal(err)
			}
			leases = append(leases, lease)
		}
		for _, lease := range leases {
			lease.Release()
		}
		for _, w := range tt.Workers() {
			if w.Last.Script != "/a.php" {
				t.Fatalf("last request: got %+v", w.Last)
			}
		}
		tt.proc(0).end()
		tt.proc(1).end()
		tt.settle()
		got := tt.Stats()
		if got.Exits[Crashed] != 2 || len(got.Quarantined) != 0 {
			t.Errorf("got %d crashes and %v in quarantine, want 2 and none", got.Exits[Crashed], got.Quarantined)
		}
		for _, entry := range tt.logged.FilterMessage("worker exited unexpectedly").All() {
			for _, field := range []string{"method", "uri", "script"} {
				if value, ok := entry.ContextMap()[field]; ok {
					t.Errorf("the log entry has %s %q", field, value)
				}
			}
		}
		if c := got.LastCrash; c.Time.IsZero() || c.PID == 0 || c.Request != (Info{}) || c.Duration != 0 {
			t.Errorf("got %+v, want a crash without a request", c)
		}
	})
}

// stuckBody is a request body that fails when the client has disconnected.
type stuckBody struct{}

func (stuckBody) Read([]byte) (int, error) {
	time.Sleep(2 * time.Second)
	return 0, errors.New("client disconnected")
}

// A client that disconnects while sending the body must not get the script
// quarantined.
func TestQuarantine_NotForTruncatedBody(t *testing.T) {
	s := static(1)
	s.Quarantine = Quarantine{Crashes: 1, Window: time.Minute, Period: time.Minute}
	run(t, s, func(tt *tester) {
		ctx, cancel := context.WithCancel(context.Background())
		r := fastcgi.NewRequest()
		defer r.Free()
		r.Body, r.ContentLength = stuckBody{}, 1<<20
		time.AfterFunc(time.Second, cancel)
		if _, err := tt.Do(ctx, &Request{FastCGI: r, Info: Info{Method: "POST", Script: "/a.php"}}); !errors.Is(err, context.Canceled) {
			tt.Errorf("got %v, want context.Canceled", err)
		}
		tt.wantWorkers(1, 1)
		st := tt.Stats()
		if st.Exits[Abandoned] != 1 || st.Exits[Crashed] != 0 || len(st.Quarantined) != 0 || !st.LastCrash.Time.IsZero() {
			tt.Errorf("got exits %v, quarantine %v and crash %+v, want one abandoned worker", st.Exits, st.Quarantined, st.LastCrash)
		}
		if _, err := tt.get("/a.php"); err != nil {
			tt.Errorf("the script was quarantined: %v", err)
		}
	})
}
