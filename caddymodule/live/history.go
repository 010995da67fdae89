package live

import (
	"sync"
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

const (
	// HistoryInterval is the time between two points of a history.
	HistoryInterval = 5 * time.Second
	historyPoints   = 720 // an hour; about 50 KB for a pool that has served requests
)

// HistoryPoint has what a pool has done in one interval, and its state at the end.
type HistoryPoint struct {
	Time time.Time
	// Requests got a worker; Failed got no response from PHP or were rejected.
	Requests, Failed uint64
	// Crashed counts workers.
	Crashed uint64
	// Median and P95 are the times that requests took in a worker, in seconds, as the
	// histogram of the metrics has them; 0 without a request.
	Median, P95 float32
	// Memory is the private memory of all workers, in bytes; 0 where it is not known.
	Memory           int64
	Busy, Max, Queue int32
	Generation       int32
}

// History has the points of the last hour in which a pool has run. It begins with the first
// request, so that pools that serve none take no memory. The zero value is ready to use.
type History struct {
	mu     sync.Mutex
	points []HistoryPoint // a ring
	next   int            // where the next point goes
	last   pool.Stats
	memory int64 // as of last
}

// Since returns the points after a time, oldest first.
func (h *History) Since(t time.Time) []HistoryPoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []HistoryPoint{}
	for i := range h.points {
		point := h.points[(h.next+i)%len(h.points)]
		if point.Time.After(t) {
			list = append(list, point)
		}
	}
	return list
}

// add adds a point. memory reads the memory of all workers, which costs system calls; it is
// called only if the pool has been in use since the last point.
func (h *History) add(now time.Time, stats pool.Stats, memory func() int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := &h.last
	used := stats.Requests != last.Requests || stats.Workers.Busy+stats.Workers.Draining+stats.Queue.Length > 0
	if h.points == nil && !used {
		return
	}
	if used || stats.Workers.Total != last.Workers.Total {
		h.memory = memory()
	}
	times := stats.Times.Request
	for i := range times.Counts {
		times.Counts[i] -= last.Times.Request.Counts[i]
	}
	point := HistoryPoint{
		Time: now, Requests: stats.Requests.Total - last.Requests.Total,
		Failed:  stats.Requests.Failed + stats.Requests.Rejected - last.Requests.Failed - last.Requests.Rejected,
		Crashed: stats.Exits[pool.Crashed] - last.Exits[pool.Crashed],
		Median:  quantile(&times, 0.5), P95: quantile(&times, 0.95), Memory: h.memory,
		Busy: int32(stats.Workers.Busy + stats.Workers.Draining), Max: int32(stats.Workers.Max),
		Queue: int32(stats.Queue.Length), Generation: int32(stats.Generation),
	}
	h.last = stats
	if len(h.points) < historyPoints {
		h.points = append(h.points, point)
		return
	}
	h.points[h.next] = point
	h.next = (h.next + 1) % historyPoints
}

// quantile returns an estimate of a quantile in seconds, by linear interpolation within a
// bucket, as Prometheus's histogram_quantile does.
func quantile(h *pool.Histogram, q float64) float32 {
	rank := q * float64(h.Count())
	if rank == 0 {
		return 0
	}
	below := 0.0
	for i, count := range h.Counts {
		if below += float64(count); below < rank {
			continue
		}
		if i == len(pool.Buckets) {
			break // longer than the last bucket
		}
		lower := time.Duration(0)
		if i > 0 {
			lower = pool.Buckets[i-1]
		}
		part := 1 - (below-rank)/float64(count)
		return float32((lower + time.Duration(part*float64(pool.Buckets[i]-lower))).Seconds())
	}
	return float32(pool.Buckets[len(pool.Buckets)-1].Seconds())
}

// recordHistory adds a point at each multiple of the interval, so that the pools of a
// Caddy that has nothing else to do wake it up once.
func (p *Pool) recordHistory() {
	for {
		now := time.Now()
		select {
		case <-p.closeCtx.Done():
			return
		case <-time.After(now.Truncate(HistoryInterval).Add(HistoryInterval).Sub(now)):
		}
		p.History.add(time.Now(), p.Pool.Stats(), func() int64 {
			var sum int64
			for _, used := range p.Sampler.Sample(p.Pool) {
				sum += used.Memory
			}
			return sum
		})
	}
}
