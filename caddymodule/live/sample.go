package live

import (
	"sync"
	"time"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// sampleInterval limits how often memory and CPU time are read: the system calls
// take about 0.1 ms for each worker.
const sampleInterval = time.Second

// Sampler reads how much memory and CPU time the workers of a pool use. The zero
// value is ready to use.
type Sampler struct {
	mu      sync.Mutex
	sampled time.Time
	byID    map[uint64]Usage // returned to callers, so it is replaced, never changed
}

// Usage is the memory and CPU time of one worker.
type Usage struct {
	pid int
	// Memory is the worker's private memory in bytes. Known is false on systems
	// that do not report it.
	Memory int64
	Known  bool
	// CPU is the CPU time since the worker was started.
	CPU time.Duration
	// Share is the CPU time in percent of the time in which the worker ran
	// requests.
	Share float64
	// startCPU and startBusy are CPU and the time for requests at the start of
	// the span that Share is computed over.
	startCPU, startBusy time.Duration
}

// shareSpan is the minimum time for requests that Share is computed over, because
// the system counts CPU time in steps of 10 ms. A worker that has not run that
// long yet has the share of all its time.
const shareSpan = 100 * time.Millisecond

// Sample returns the usage of the workers by ID, at most one second old. A worker
// that has just been launched may be missing. The pool is not locked while the
// values are read.
func (s *Sampler) Sample(p *pool.Pool) map[uint64]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID != nil && time.Since(s.sampled) < sampleInterval {
		return s.byID
	}
	workers := p.Workers()
	byID := make(map[uint64]Usage, len(workers))
	for _, w := range workers {
		byID[w.ID] = s.byID[w.ID].next(&w)
	}
	s.byID, s.sampled = byID, time.Now()
	return byID
}

// next reads the usage of a worker whose previous usage is u.
func (u Usage) next(w *pool.WorkerStats) Usage {
	if u.pid != w.PID {
		u = Usage{pid: w.PID} // another process
	}
	n, err := w.Process.Memory()
	u.Memory, u.Known = n, err == nil
	u.CPU = max(u.CPU, w.Process.CPU()) // 0 if the process has just exited
	busy := w.BusyTime - u.startBusy
	if busy > 0 && (busy >= shareSpan || u.startBusy == 0) {
		// More than 100 % comes from CPU time before the first request.
		u.Share = min(100, 100*float64(u.CPU-u.startCPU)/float64(busy))
	}
	if busy >= shareSpan {
		u.startCPU, u.startBusy = u.CPU, w.BusyTime
	}
	return u
}

// LargestWorkerBytes returns the private memory of the largest worker. It returns
// 0 before the pool has run enough requests to judge by.
func (p *Pool) LargestWorkerBytes() int64 {
	if p.Pool.Stats().Requests.Total < poolcfg.MinMeasuredRequests {
		return 0
	}
	var largest int64
	for _, used := range p.Sampler.Sample(p.Pool) {
		largest = max(largest, used.Memory)
	}
	return largest
}
