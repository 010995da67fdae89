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
			Last: w.last, LastDuration: w.lastDuration, BusyTime: w.busyTime,
		}
		if w.internal {
			s.State = Idle
		}
		switch s.State {
		case Idle:
			s.Idle = now - w.idleSince
		case Busy, Draining:
			s.Request, s.Running = w.info, now-w.busySince
			s.BusyTime += s.Running
		case Starting, Stopping, Gone:
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b WorkerStats) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// recordQueueLengthLocked notes that one more waits.
func (p *Pool) recordQueueLengthLocked() {
	p.maxQueueLength = max(p.maxQueueLength, p.queue.len+p.deferred)
}
