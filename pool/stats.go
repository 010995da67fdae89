package pool

import (
	"cmp"
	"slices"
	"time"
)

// counters only grow while the pool lives (maxBusy and maxQueueLength too); the
// pool's mutex guards them.
type counters struct {
	created        time.Time
	requests       uint64 // that had a worker
	failedRequests uint64 // that got no answer from PHP
	rejections     Rejections
	retried        uint64
	slow           uint64
	timedOut       uint64
	launches       uint64
	masterExits    uint64
	restarts       uint64 // see Stats.Restarts
	maxBusy        int
	maxQueueLength int
	maxReached     uint64
	lastCrash      Crash
	times          Times
	exits          [reasons]uint64
}

// Stats is one moment of a pool.
type Stats struct {
	Name       string
	Manager    Manager
	Generation int
	Started    time.Time
	Uptime     time.Duration
	Workers    WorkerCounts
	Queue      QueueStats
	Requests   RequestCounts
	// Exits counts the workers that have gone, by reason.
	Exits map[Reason]uint64
	// Launches counts the workers that were launched.
	Launches uint64
	// Restarts counts the generations that replaced a serving one because that
	// was requested: by [Pool.Restart] or [Prepared.Commit].
	Restarts uint64
	// MasterExits counts the generations that were replaced because their
	// master process exited.
	MasterExits uint64
	Times       Times
	// LastCrash is the latest end of a worker that nobody asked for; its zero
	// value when there was none.
	LastCrash Crash
	// LastFailure is why no worker could be launched lately; nil when the
	// last one could.
	LastFailure error
	// Quarantined are the scripts that are not run, and until when.
	Quarantined map[string]time.Time
}

// WorkerCounts are the workers by state. Total are all but those that
// stop.
// Standby are the slots of the generation without a worker, Min and Max the
// fewest and the most workers that the settings allow, MaxBusy the most ever
// busy at a time.
type WorkerCounts struct {
	Total, Idle, Busy, Draining, Starting, Stopping, Min, Max, Preforked, MaxBusy int
	// MaxReached counts how often a request had to wait because there were Max
	// workers already.
	MaxReached uint64
}

// QueueStats is the line, with those that are held back for MaxPerClient: how
// many wait, how many may, how many ever did at a time, and for how long all
// together.
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
	// Quarantined counts those for a script in quarantine.
	Quarantined uint64
}

func (r Rejections) total() uint64 { return r.QueueFull + r.ClientLimit + r.Quarantined }

// Crash is the end of a worker that nobody asked for. How is in words, as far as
// the system tells; Request is what it ran, if anything, and Ran for how long.
type Crash struct {
	Time       time.Time
	Worker     uint64
	PID        int
	ExitStatus string
	Request    Info
	Duration   time.Duration
}

// WorkerStats is one moment of a worker.
type WorkerStats struct {
	ID         uint64
	PID        int
	State      State
	Generation int
	// MaxRequests counts those that it has served.
	Requests  int
	Started   time.Time
	Age, Idle time.Duration
	// Request is what it runs; its zero value when it is idle.
	Request Info
	// Running is for how long it has run the request.
	Running time.Duration
	// Last is the request before that, and Took how long that was.
	Last         Info
	LastDuration time.Duration
	// BusyTime is how long it has run requests in all.
	BusyTime time.Duration
	// Process gives memory and CPU time; reading them costs system calls.
	Process Process
}

// Stats takes a consistent snapshot.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statsLocked()
}

// Workers lists the workers by ID.
func (p *Pool) Workers() []WorkerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.workerStatsLocked()
}

// Snapshot is Stats and Workers of one and the same moment.
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
			Min: p.settings.floor(), Max: p.settings.MaxWorkers, MaxBusy: p.maxBusy, MaxReached: p.maxReached,
		},
		Queue: QueueStats{
			Length: p.queue.len + p.deferred, Max: p.settings.MaxQueue, MaxLength: p.maxQueueLength, WaitTotal: p.times.Wait.Sum,
		},
		Requests: RequestCounts{
			Total: p.requests, Failed: p.failedRequests, Rejected: p.rejections.total(), Rejections: p.rejections,
			Retried: p.retried, Slow: p.slow, TimedOut: p.timedOut,
		},
		Exits: map[Reason]uint64{}, Launches: p.launches, Restarts: p.restarts, MasterExits: p.masterExits, Times: p.times,
		LastCrash: p.lastCrash, LastFailure: p.failures.err, Quarantined: map[string]time.Time{},
	}
	if p.gen != nil {
		s.Generation = p.gen.number
		s.Workers.Preforked = max(0, p.gen.slots-p.gen.inUse)
	}
	for r, n := range p.exits {
		if n > 0 {
			s.Exits[Reason(r)] = n
		}
	}
	for script, until := range p.quarantine.until {
		if now.Before(until) {
			s.Quarantined[script] = until
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
			s.Request, s.Running = w.lease.info, now-w.lease.since
			s.BusyTime += s.Running
		case Starting, Stopping, Gone:
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b WorkerStats) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

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
	p.times.Request.add(now - w.lease.since)
	if w.lease.firstByte >= 0 {
		p.times.FirstByte.add(w.lease.firstByte)
	}
	p.logEndedSlowLocked(w, now)
}
