package live

import (
	"sync"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// sampleInterval is how old what is shown of the workers' memory and processor
// time may be: to read it takes system calls for each worker, about 0.1 ms, and
// however many ask, it is not read more often.
const sampleInterval = time.Second

// Sampler knows what the workers of a pool use of the machine.
type sampler struct {
	mu    sync.Mutex
	taken time.Time
	byID  map[uint64]Usage // not written to any more once it is here
}

// Usage is what one worker uses of the machine.
type Usage struct {
	pid int
	// Memory is what it has for itself, in bytes; known is false where the
	// system does not tell.
	Memory int64
	Known  bool
	// CPU is the processor time that it has used.
	CPU time.Duration
	// Share is how much of the time in which it ran requests it was computing,
	// in percent.
	Share float64
	// cpuThen and busyThen are what cpu and the time for requests were where
	// share counts from.
	cpuThen, busyThen time.Duration
}

// shareSpan is the least time for requests that share is taken from, but for a
// worker that has not had as much: the system counts processor time in steps of
// 10 ms.
const shareSpan = 100 * time.Millisecond

// Sample returns what the workers use, by ID; one that has just been launched may
// be missing. The pool is not locked meanwhile.
func (s *sampler) Sample(p *pool.Pool) map[uint64]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID != nil && time.Since(s.taken) < sampleInterval {
		return s.byID
	}
	workers := p.Workers()
	byID := make(map[uint64]Usage, len(workers))
	for _, w := range workers {
		byID[w.ID] = s.byID[w.ID].next(&w)
	}
	s.byID, s.taken = byID, time.Now()
	return byID
}

// staged measures a worker, of which u is what was known before.
func (u Usage) next(w *pool.WorkerStats) Usage {
	if u.pid != w.PID {
		u = Usage{pid: w.PID} // another process
	}
	n, err := w.Process.Memory()
	u.Memory, u.Known = n, err == nil
	u.CPU = max(u.CPU, w.Process.CPU()) // 0 when it has just ended
	busy := w.BusyTime - u.busyThen
	if busy > 0 && (busy >= shareSpan || u.busyThen == 0) {
		// Over 100 it cannot be: what is over was used before the first request.
		u.Share = min(100, 100*float64(u.CPU-u.cpuThen)/float64(busy))
	}
	if busy >= shareSpan {
		u.cpuThen, u.busyThen = u.CPU, w.BusyTime
	}
	return u
}

// LargestWorkerBytes is the most memory that a worker has for itself now; 0 where
// that says nothing.
func (l *Pool) LargestWorkerBytes() int64 {
	if l.Pool.Stats().Requests.Total < poolcfg.MinMeasuredRequests {
		return 0
	}
	var most int64
	for _, used := range l.Sampler.Sample(l.Pool) {
		most = max(most, used.Memory)
	}
	return most
}
