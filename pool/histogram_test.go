package pool

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// bucketCounts returns a Histogram of the times.
func bucketCounts(times ...time.Duration) (h Histogram) {
	for _, d := range times {
		i := slices.IndexFunc(Buckets[:], func(bound time.Duration) bool { return d <= bound })
		if i < 0 {
			i = len(Buckets)
		}
		h.Counts[i]++
		h.Sum += d
	}
	return h
}

func (tt *tester) wantTimes(want Times) {
	tt.Helper()
	tt.settle()
	if got := tt.Stats().Times; got != want {
		tt.Errorf("times:\n got %+v\nwant %+v", got, want)
	}
}

func TestStats_HistogramBuckets(t *testing.T) {
	var h Histogram
	all := []time.Duration{0, Buckets[0], Buckets[0] + 1, 3 * time.Second, Buckets[len(Buckets)-1], time.Hour}
	for _, d := range all {
		h.add(d)
	}
	if want := bucketCounts(all...); h != want || h.Count() != 6 {
		t.Errorf("got %+v (%d), want %+v", h, h.Count(), want)
	}
	if h.Counts[0] != 2 || h.Counts[1] != 1 || h.Counts[len(Buckets)] != 1 {
		t.Errorf("got %v: want 2 up to the first bound, 1 above it, 1 above the last", h.Counts)
	}
}

func TestStats_RequestTimes(t *testing.T) {
	run(t, static(1), func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.Response{
				fastcgitest.Sleep(20 * time.Millisecond), fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nx"),
				fastcgitest.Flush(), fastcgitest.Sleep(30 * time.Millisecond), fastcgitest.End(),
			}
		}
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantTimes(Times{
			Request: bucketCounts(50 * time.Millisecond), FirstByte: bucketCounts(20 * time.Millisecond), Wait: bucketCounts(0),
		})
	})
}

func TestStats_RequestTimeWithoutResponse(t *testing.T) {
	s := static(1)
	s.RequestTimeout = 3 * time.Second
	run(t, s, func(tt *tester) {
		tt.handler = func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.Response{fastcgitest.Stall()} }
		if _, err := tt.get("/a.php"); err == nil {
			t.Fatal("got a response, want an error")
		}
		// First the soft timeout, then the kill.
		tt.wantTimes(Times{Request: bucketCounts(3*time.Second + killDelay), Wait: bucketCounts(0)})
	})
}

// A worker in a health check is available again at once: another worker would not
// have helped.
func TestStats_MaxReachedExcludesHealthCheck(t *testing.T) {
	s := static(1)
	s.HealthInterval = time.Second
	run(t, s, func(tt *tester) {
		tt.proc(0).mute()
		time.Sleep(1500 * time.Millisecond)
		first, second := tt.acquire(), tt.acquire()
		first.wantWaiting()
		second.wantWaiting()
		if got := tt.Stats().Workers.MaxReached; got != 1 {
			t.Errorf("MaxReached: got %d, want 1, for the second request", got)
		}
		time.Sleep(healthCheckTimeout)
		first.wantLease().Release()
		second.wantLease().Release()
	})
}

func TestStats_MemoryRecheckCountsOnce(t *testing.T) {
	s := static(1)
	s.MaxMemory = 1000
	run(t, s, func(tt *tester) {
		tt.proc(0).memory.Store(2000)
		if _, err := tt.get("/a.php"); err != nil {
			t.Fatal(err)
		}
		tt.wantTimes(Times{Request: bucketCounts(0), FirstByte: bucketCounts(0), Wait: bucketCounts(0)})
	})
}

func TestStats_QueueWaitExcludesRejected(t *testing.T) {
	s := static(1)
	s.MaxQueue, s.QueueTimeout = 3, 10*time.Second
	run(t, s, func(tt *tester) {
		held := tt.acquire().wantLease()
		served := tt.acquire()
		time.Sleep(time.Second)
		leaves, late := tt.acquire(), tt.acquire()
		tt.acquire().wantError(ErrQueueFull)
		time.Sleep(2 * time.Second)
		leaves.cancel()
		leaves.wantError(context.Canceled)
		held.Release()
		kept := served.wantLease()
		time.Sleep(10 * time.Second)
		late.wantError(ErrQueueTimeout)
		kept.Release()
		tt.wantTimes(Times{
			Request: bucketCounts(3*time.Second, 10*time.Second),
			Wait:    bucketCounts(0, 2*time.Second, 3*time.Second, 10*time.Second),
		})
		if got := tt.Stats().Queue.WaitTotal; got != 15*time.Second {
			t.Errorf("all waited %v together, want 15s", got)
		}
	})
}
