package poolcfg

import (
	"fmt"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/dustin/go-humanize"

	"github.com/mevdschee/caddy-php-pool/caddymodule/threads"
	"github.com/mevdschee/caddy-php-pool/pool"
)

const (
	// memoryShare is the share of the memory, in percent, for all pools together.
	memoryShare = 60
	// defaultWorkerBytes is the size of a worker if PHP's memory_limit is off.
	defaultWorkerBytes = 128 << 20
	// minWorkerBytes is the minimum size of a worker, even if less was measured.
	minWorkerBytes = 16 << 20
	// maxWorkerBytes is the maximum size of a worker, so that the sum over all
	// workers does not overflow.
	maxWorkerBytes = 1 << 40
	// max_workers auto is at least minAutoWorkers and at most workersPerCPU for each
	// CPU, whatever the memory.
	minAutoWorkers = 2
	workersPerCPU  = 8
)

const (
	// MeasureInterval is the time between two measurements of the workers' memory.
	MeasureInterval = 30 * time.Second
	// MinMeasuredRequests is the number of requests that a pool must have served
	// before its measurements are used.
	MinMeasuredRequests = 100
)

// Resources are the CPUs and the memory that pools share.
type Resources struct {
	cpus   int
	memory int64 // bytes: the cgroup's limit, else the machine's memory; 0 if unknown
	total  int   // max_workers_total; 0 means no limit
}

// DetectResources returns the resources of this process: the CPUs, and the memory
// limit of its cgroup or the memory of the machine. maxTotal is max_workers_total, 0 for
// no limit.
func DetectResources(maxTotal int) Resources {
	r := Resources{cpus: threads.CPUs(), total: maxTotal}
	n, err := memlimit.FromCgroup()
	if err != nil || n == 0 {
		n, err = memlimit.FromSystem()
	}
	if err == nil {
		r.memory = int64(min(n, 1<<62))
	}
	return r
}

// Sizing explains a max_workers that was computed. Status and admin API show it.
type Sizing struct {
	Memory     int64  `json:"memory_bytes"`
	Reserved   int64  `json:"reserved_bytes"` // by pools of fixed size
	Pools      int    `json:"pools"`          // number of pools that share the rest
	Worker     int64  `json:"worker_bytes"`   // estimated size of a worker
	Measured   bool   `json:"measured"`       // Worker was measured; else it is memory_limit
	CPUs       int    `json:"cpus"`
	MaxWorkers int    `json:"max_workers"`
	Summary    string `json:"summary"`
}

// size computes max_workers for each of pools that share the memory, less the reserved
// bytes, if one worker takes worker bytes.
func (r Resources) size(pools int, reserved, worker int64, measured bool) Sizing {
	if worker <= 0 {
		worker = defaultWorkerBytes
	}
	s := Sizing{Memory: r.memory, Reserved: reserved, Pools: max(1, pools), Worker: worker, Measured: measured, CPUs: r.cpus}
	limit := workersPerCPU * r.cpus
	if r.memory <= 0 {
		s.MaxWorkers = limit
		s.Summary = fmt.Sprintf("memory unknown; %d for each of %d CPUs = %d workers", workersPerCPU, r.cpus, limit)
		return s
	}
	share := max(0, r.memory/100*memoryShare-reserved) / int64(s.Pools)
	fit := int(share / worker)
	s.MaxWorkers = max(minAutoWorkers, min(limit, fit))
	source := "memory_limit"
	if measured {
		source = "measured"
	}
	s.Summary = fmt.Sprintf("%d %% of %s, less %s for pools of fixed size, divided by %d = %s; at %s per worker (%s) that is %d, "+
		"at least %d, at most %d for each of %d CPUs: %d workers",
		memoryShare, humanize.IBytes(uint64(r.memory)), humanize.IBytes(uint64(reserved)), s.Pools,
		humanize.IBytes(uint64(share)), humanize.IBytes(uint64(worker)), source, fit, minAutoWorkers, workersPerCPU,
		r.cpus, s.MaxWorkers)
	return s
}

// growthFactor limits how far a pool can grow without a new generation when its workers
// turn out to be smaller than memory_limit.
const growthFactor = 4

// slotsFor returns the number of slots of a generation. Spare slots let the pool grow
// without a new generation. Each is a preforked child, which takes little memory, but
// with hundreds of ondemand pools gigabytes in total. Therefore an ondemand pool has no
// spare slots; it grows when its master is started the next time.
func (s *Sizing) slotsFor(manager pool.Manager) int {
	if manager == pool.OnDemand {
		return s.MaxWorkers
	}
	return min(workersPerCPU*s.CPUs, growthFactor*s.MaxWorkers)
}

// IsAuto reports whether max_workers is computed by [Allocate].
func (o *Options) IsAuto() bool { return o.EffectiveManager() != pool.Static && o.MaxWorkers <= 0 }

// Minimum returns the number of workers that the pool keeps.
func (o *Options) Minimum() int {
	s := o.Settings(MaxWorkers)
	return s.Minimum()
}

// workerBytes returns the estimated size of a worker: memory_limit, or 1.5 times the
// measured maximum if that is less. measured is 0 without a measurement.
func (p *Plan) workerBytes(measured int64) (size int64, isMeasured bool) {
	limit := p.Binary.MemoryLimit
	if limit <= 0 {
		limit = defaultWorkerBytes
	}
	limit = min(limit, maxWorkerBytes)
	if measured == 0 {
		return limit, false
	}
	return min(limit, max(minWorkerBytes, measured+measured/2)), true
}

// Allocate divides the resources between all pools: it sets Settings and Sizing of the
// plans with max_workers auto, after the pools of fixed size have got their memory.
// measured has the largest measured size of a worker by pool, in bytes; the estimate
// for the other pools is memory_limit.
func Allocate(r Resources, plans map[string]*Plan, measured map[string]int64) {
	var reserved int64
	auto := 0
	for name, p := range plans {
		if p.Options.IsAuto() {
			auto++
			continue
		}
		worker, _ := p.workerBytes(measured[name])
		reserved += worker * int64(p.Settings.MaxWorkers)
	}
	for name, p := range plans {
		if p.Options.IsAuto() {
			worker, isMeasured := p.workerBytes(measured[name])
			size := r.size(auto, reserved, worker, isMeasured)
			p.Sizing = &size
			p.Settings = p.Options.Settings(size.MaxWorkers)
			p.Settings.Slots = size.slotsFor(p.Settings.Manager)
		}
		p.limitSize(r.total)
	}
}

// limitSize limits the size to that of all pools together, so that the master forks no
// children that can never be used.
func (p *Plan) limitSize(total int) {
	if total == 0 {
		return
	}
	s := &p.Settings
	s.MaxWorkers, s.Slots = min(s.MaxWorkers, total), min(s.Slots, total)
	s.MinWorkers, s.StartWorkers = min(s.MinWorkers, total), min(s.StartWorkers, total)
	if p.Sizing != nil && p.Sizing.MaxWorkers > total {
		p.Sizing.MaxWorkers = total
		p.Sizing.Summary += fmt.Sprintf("; max_workers_total allows %d", total)
	}
}
