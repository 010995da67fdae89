package live

import (
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// A history has the differences between two moments, begins with the first request, and
// forgets what is older than an hour.
func TestHistory(t *testing.T) {
	var h History
	start := time.Now()
	read := 0
	add := func(n int, s pool.Stats) {
		h.add(start.Add(time.Duration(n)*HistoryInterval), s, func() int64 { read++; return int64(1000 * read) })
	}
	add(0, pool.Stats{})
	if got := h.Since(time.Time{}); len(got) != 0 || h.points != nil || read != 0 {
		t.Fatalf("without a request: got %v", got)
	}
	s := pool.Stats{Generation: 3, Exits: map[pool.Reason]uint64{pool.Crashed: 2}}
	s.Requests.Total, s.Requests.Failed, s.Requests.Rejected = 100, 2, 3
	s.Workers.Busy, s.Workers.Draining, s.Workers.Max, s.Queue.Length = 4, 1, 8, 6
	s.Times.Request.Counts[1] = 100
	add(1, s)
	want := HistoryPoint{
		Time: start.Add(HistoryInterval), Requests: 100, Failed: 5, Crashed: 2, Memory: 1000, Busy: 5, Max: 8, Queue: 6, Generation: 3,
		Median: float32((pool.Buckets[0] + pool.Buckets[1]).Seconds() / 2),
		P95:    float32((float64(pool.Buckets[0]) + 0.95*float64(pool.Buckets[1]-pool.Buckets[0])) / float64(time.Second)),
	}
	if got := h.Since(time.Time{}); len(got) != 1 || got[0] != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	s.Workers.Busy, s.Workers.Draining, s.Queue.Length = 0, 0, 0
	add(2, s) // nothing happened: the memory is not read again
	if got := h.Since(start.Add(HistoryInterval)); len(got) != 1 || got[0].Requests != 0 || got[0].P95 != 0 || got[0].Memory != 1000 || read != 1 {
		t.Errorf("got %+v, memory read %d times", got, read)
	}
	for n := 3; n < 3+historyPoints; n++ {
		s.Requests.Total += uint64(n)
		add(n, s)
	}
	got := h.Since(time.Time{})
	if len(got) != historyPoints || got[0].Requests != 3 || got[len(got)-1].Requests != historyPoints+2 {
		t.Errorf("got %d points, the first %+v, the last %+v", len(got), got[0], got[len(got)-1])
	}
	for i := 1; i < len(got); i++ {
		if !got[i].Time.After(got[i-1].Time) {
			t.Fatalf("point %d is not after the one before", i)
		}
	}
}

func TestQuantile(t *testing.T) {
	var h pool.Histogram
	if got := quantile(&h, 0.5); got != 0 {
		t.Errorf("without a time: got %v", got)
	}
	h.Counts[len(pool.Buckets)] = 1 // longer than all buckets
	if got, want := quantile(&h, 0.5), float32(pool.Buckets[len(pool.Buckets)-1].Seconds()); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	h.Counts[0] = 3
	if got, want := quantile(&h, 0.5), float32(pool.Buckets[0].Seconds()*2/3); got < want*0.999 || got > want*1.001 {
		t.Errorf("got %v, want %v", got, want)
	}
}
