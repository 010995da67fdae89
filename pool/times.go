package pool

import "time"

// Buckets are the upper bounds of the buckets in which times are counted, bounds
// included; one more bucket has what is above the last. They are made for PHP:
// from a page out of a cache to an import, with the usual limits (slow_request
// 5 s, queue_timeout 30 s, a request_timeout of 60 s) among them.
var Buckets = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// Histogram counts times by bucket.
type Histogram struct {
	// Counts has for each bound the times up to it and above the bound before.
	Counts [len(Buckets) + 1]uint64
	// Sum is all times together.
	Sum time.Duration
}

// add counts one time. It is called under the pool's mutex, where it costs less
// than atomics of its own would: the mutex is held at that moment anyway.
func (h *Histogram) add(d time.Duration) {
	i := 0
	for i < len(Buckets) && d > Buckets[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += d
}

// Count is how many times were counted.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Times tell how long requests took.
type Times struct {
	// Request is from the lease of a worker to its release, FirstByte from the
	// lease to the head of the answer, where one came. Both are counted when
	// the worker is given back, however that ends.
	Request, FirstByte Histogram
	// Wait is from asking for a worker to having one or giving up; 0 where one
	// was idle. Requests for which the line was full are not counted. One that
	// found its worker dead asks again.
	Wait Histogram
}

// recordTimesLocked is for a request that has ended: it counts its times, and tells if
// it has turned slow since the last round of maintenance.
func (p *Pool) recordTimesLocked(w *worker, now time.Duration) {
	if w.timed {
		return
	}
	w.timed = true
	p.times.Request.add(now - w.busySince)
	if w.firstByte >= 0 {
		p.times.FirstByte.add(w.firstByte)
	}
	p.logEndedSlowLocked(w, now)
}
