package pool

import (
	"cmp"
	"slices"
	"time"
)

// counters never decrease while the pool exists, including maxBusy and
// maxQueueLength. The pool's mutex guards them.
type counters struct {
	created        time.Time
	requests       uint64 // that got a worker
	failedRequests uint64 // that got no response
	rejections     Rejections
	retried        uint64
	slow           uint64
	timedOut       uint64
	launches       uint64
	launchTime     time.Duration // of all launches
	masterExits    uint64
	restarts       uint64 // see Stats.Restarts
	maxBusy        int
	maxQueueLength int
	maxReached     uint64
	lastCrash      Crash
	times          Times
	exits          [reasons]uint64
}

// Stats is a snapshot of a pool.
type Stats struct {
	Name       string
	Manager    Manager
	Generation int
	Started    time.Time
	Uptime     time.Duration
	Workers    WorkerCounts
	// AllPools is the state of the TotalLimit.
	AllPools AllPoolsStats
	Queue    QueueStats
	Requests RequestCounts
	// Exits counts the workers that have exited, by reason.
	Exits map[Reason]uint64
	// Launches counts the workers that were launched, which took LaunchTime in total.
	Launches   uint64
	LaunchTime time.Duration
	// Restarts counts the generations that replaced a serving one because that
	// was requested: by [Pool.Restart] or [Prepared.Commit].
	Restarts uint64
	// MasterExits counts the generations that were replaced because their
	// master process exited or did not respond.
	MasterExits uint64
	Times       Times
	// LastCrash is the last unexpected exit of a worker, or the zero value.
	LastCrash Crash
	// LastFailure is the error of the last launch, nil if workers can be launched.
	LastFailure error
	// Quarantined holds what is in quarantine, as "script at path", and when that
	// ends.
	Quarantined map[string]time.Time
}

// WorkerCounts counts the workers by state. Total excludes Stopping. Preforked is
// the number of unused slots of the generation. Min and Max are the limits of the
// settings, MaxBusy is the maximum of Busy so far.
type WorkerCounts struct {
	Total, Idle, Busy, Draining, Starting, Stopping, Min, Max, Preforked, MaxBusy int
	// MaxReached counts the requests that had to wait because there were Max workers.
	MaxReached uint64
}

// AllPoolsStats describes the pools that share a TotalLimit: the number of their
// workers, and its maximum, 0 for no limit. Limited means that this pool may not launch
// a worker that it needs.
type AllPoolsStats struct {
	Workers, Max int
	Limited      bool
}

// QueueStats describes the queue, including the requests deferred by MaxPerClient:
// the current length, its limit, the maximum so far, and the total time that
// requests have waited.
type QueueStats struct {
	Length, Max, MaxLength int
	WaitTotal              time.Duration
}

// RequestCounts counts requests: Total those that got a worker, Failed those
// that got no response from PHP, Rejected those turned away before they got a
// worker, TimedOut those that reached RequestTimeout.
type RequestCounts struct {
	Total, Failed, Rejected, Retried, Slow, TimedOut uint64
	// Rejections is Rejected by reason.
	Rejections Rejections
}

// Rejections counts the requests that were turned away, by reason.
type Rejections struct {
	// QueueFull counts those that found MaxQueue requests waiting.
	QueueFull uint64
	// ClientLimit counts those whose client had too many requests, see
	// Settings.MaxPerClient.
	ClientLimit uint64
	// Quarantined counts those for a script and path in quarantine.
	Quarantined uint64
}

func (r Rejections) total() uint64 { return r.QueueFull + r.ClientLimit + r.Quarantined }

// Crash describes an unexpected exit of a worker. ExitStatus is empty if it is
// unknown. Request is the request that the worker ran, if any, and Duration for
// how long.
type Crash struct {
	Time       time.Time
	Worker     uint64
	PID        int
	ExitStatus string
	Request    Info
	Duration   time.Duration
}

// WorkerStats is a snapshot of a worker.
type WorkerStats struct {
	ID         uint64
	PID        int
	State      State
	Generation int
	// Requests is the number of requests that it has served.
	Requests  int
	Started   time.Time
	Age, Idle time.Duration
	// Request is the current request, or the zero value.
	Request Info
	// Running is the duration of the current request so far.
	Running time.Duration
	// Finishing means that the response of the current request is complete, though its
	// script still runs. The state is Busy.
	Finishing bool
	// Last is the previous request, LastDuration its duration.
	Last         Info
	LastDuration time.Duration
	// BusyTime is the total duration of its requests.
	BusyTime time.Duration
	// Process can report memory and CPU time; that costs system calls.
	Process Process
}

// StateName returns the name of the state. For a busy worker whose response is
// complete it is that of php-fpm, finishing.
func (w *WorkerStats) StateName() string {
	if w.Finishing {
		return "finishing"
	}
	return w.State.String()
}

// Stats returns a consistent snapshot of the pool.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statsLocked()
}

// Workers returns a snapshot of the workers, sorted by ID.
func (p *Pool) Workers() []WorkerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workerStatsLocked()
}

// Snapshot returns Stats and Workers of the same moment.
func (p *Pool) Snapshot() (Stats, []WorkerStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statsLocked(), p.workerStatsLocked()
}

func (p *Pool) statsLocked() Stats {
	now := time.Now()
	s := Stats{
		Name: p.name, Manager: p.settings.Manager, Started: p.created, Uptime: now.Sub(p.created),
		Workers: WorkerCounts{
			Total: len(p.workers) - p.inState[Stopping] + p.starting, Idle: p.inState[Idle] + p.internalLeases, Busy: p.inState[Busy] - p.internalLeases,
			Draining: p.inState[Draining], Starting: p.starting, Stopping: p.inState[Stopping],
			Min: p.settings.Minimum(), Max: p.settings.MaxWorkers, MaxBusy: p.maxBusy, MaxReached: p.maxReached,
		},
		Queue: QueueStats{
			Length: p.queue.len + p.deferred, Max: p.settings.MaxQueue, MaxLength: p.maxQueueLength, WaitTotal: p.times.Wait.Sum,
		},
		Requests: RequestCounts{
			Total: p.requests, Failed: p.failedRequests, Rejected: p.rejections.total(), Rejections: p.rejections,
			Retried: p.retried, Slow: p.slow, TimedOut: p.timedOut,
		},
		Exits: map[Reason]uint64{}, Launches: p.launches, LaunchTime: p.launchTime, Restarts: p.restarts, MasterExits: p.masterExits, Times: p.times,
		LastCrash: p.lastCrash, LastFailure: p.failures.err, Quarantined: map[string]time.Time{},
	}
	s.AllPools.Limited = p.limited
	s.AllPools.Workers, s.AllPools.Max = p.total.Usage()
	if p.gen != nil {
		s.Generation = p.gen.number
		s.Workers.Preforked = max(0, p.gen.slots-p.gen.inUse)
	}
	for r, n := range p.exits {
		if n > 0 {
			s.Exits[Reason(r)] = n
		}
	}
	for key, r := range p.quarantine.records {
		if now.Before(r.until) {
			s.Quarantined[key.String()] = r.until
		}
	}
	return s
}

func (p *Pool) workerStatsLocked() []WorkerStats {
	now := p.clock()
	all := make([]WorkerStats, 0, len(p.workers))
	for _, w := range p.workers {
		s := WorkerStats{
			ID: w.id, PID: w.proc.PID(), State: w.state, Generation: w.gen.number,
			Requests: w.requests, Started: p.created.Add(w.started), Age: now - w.started, Process: w.proc,
			Last: w.last.info, LastDuration: w.last.duration, BusyTime: w.busyTime,
		}
		if w.lease.kind == internalLease {
			s.State = Idle
		}
		switch s.State {
		case Idle:
			s.Idle = now - w.idleSince
		case Busy, Draining:
			s.Request, s.Running, s.Finishing = w.lease.info, now-w.lease.since, w.lease.finishing
			s.BusyTime += s.Running
		case Starting, Stopping, Gone:
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b WorkerStats) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Buckets are the inclusive upper bounds of the histogram buckets; one more bucket
// counts longer times. They suit PHP, from a cached page to an import, and contain
// common limits (slow_request 5 s, queue_timeout 30 s, request_timeout 60 s).
var Buckets = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// Histogram counts times by bucket.
type Histogram struct {
	// Counts has one count per bucket, not cumulative.
	Counts [len(Buckets) + 1]uint64
	// Sum is the sum of all times.
	Sum time.Duration
}

// add counts a time. The pool's mutex guards it: the callers hold the mutex anyway,
// so atomics would only cost more.
func (h *Histogram) add(d time.Duration) {
	i := 0
	for i < len(Buckets) && d > Buckets[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += d
}

// Count returns the number of times.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Times are the durations of requests and their parts.
type Times struct {
	// Request is the time from the lease of a worker to its release, FirstByte from
	// the lease to the response header, if one arrived. Both are counted at the
	// release.
	Request, FirstByte Histogram
	// Wait is the time from Acquire until it returns, with a worker or after giving
	// up; 0 if a worker was idle. Rejected requests are not counted. A request whose
	// worker turns out to be broken waits again, and is counted again.
	Wait Histogram
}

// recordTimesLocked counts the times of a request that has ended, and logs it if
// it was slow.
func (p *Pool) recordTimesLocked(w *worker, now time.Duration) {
	p.times.Request.add(now - w.lease.since)
	if w.lease.firstByte >= 0 {
		p.times.FirstByte.add(w.lease.firstByte)
	}
	p.logEndedSlowLocked(w, now)
}
