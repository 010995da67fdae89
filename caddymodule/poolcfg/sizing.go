package poolcfg

import (
	"fmt"
	"runtime"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/dustin/go-humanize"

	"github.com/mevdschee/caddy-php-pool/pool"
)

const (
	// memoryShare is how much of the machine's memory all pools together may
	// plan with, in percent.
	memoryShare = 60
	// defaultWorkerBytes is what a worker is counted as when PHP's memory_limit
	// is off.
	defaultWorkerBytes = 128 << 20
	// minWorkerBytes is the least that a worker is counted as, whatever was
	// measured.
	minWorkerBytes = 16 << 20
	// maxWorkerBytes is the most, so that a memory_limit of more than any machine
	// has does not overflow a sum.
	maxWorkerBytes = 1 << 40
	// Between minAutoWorkers and workersPerCPU for each CPU lies what
	// max_workers auto comes to, whatever the memory.
	minAutoWorkers = 2
	workersPerCPU  = 8
	// MeasureInterval is how often workers are measured, and MinMeasuredRequests how
	// many requests a pool has to have served before that counts.
	MeasureInterval     = 30 * time.Second
	MinMeasuredRequests = 100
)

// Resources is what sizes are computed from.
type Resources struct {
	cpus   int
	memory int64 // bytes: of the cgroup where it is limited, else of the machine; 0 if unknown
}

func DetectResources() Resources {
	m := Resources{cpus: runtime.GOMAXPROCS(0)}
	n, err := memlimit.FromCgroup()
	if err != nil || n == 0 {
		n, err = memlimit.FromSystem()
	}
	if err == nil {
		m.memory = int64(min(n, 1<<62))
	}
	return m
}

// Sizing is how max_workers auto came about. The status shows it.
type Sizing struct {
	Memory     int64  `json:"memory_bytes"`
	Reserved   int64  `json:"reserved_bytes"` // by pools with a fixed size
	Pools      int    `json:"pools"`          // that share the rest
	Worker     int64  `json:"worker_bytes"`   // what one is counted as
	Measured   bool   `json:"measured"`       // else by memory_limit
	CPUs       int    `json:"cpus"`
	MaxWorkers int    `json:"max_workers"`
	Summary    string `json:"summary"`
}

// size says what max_workers auto comes to for each of so many pools when a
// worker is counted as worker bytes and pools of a fixed size take some.
func (m Resources) size(pools int, taken, worker int64, measured bool) Sizing {
	if worker <= 0 {
		worker = defaultWorkerBytes
	}
	s := Sizing{Memory: m.memory, Reserved: taken, Pools: max(1, pools), Worker: worker, Measured: measured, CPUs: m.cpus}
	most := workersPerCPU * m.cpus
	if m.memory <= 0 {
		s.MaxWorkers = most
		s.Summary = fmt.Sprintf("memory unknown; %d for each of %d CPUs = %d workers", workersPerCPU, m.cpus, most)
		return s
	}
	share := max(0, m.memory/100*memoryShare-taken) / int64(s.Pools)
	fit := int(share / worker)
	s.MaxWorkers = max(minAutoWorkers, min(most, fit))
	by := "memory_limit"
	if measured {
		by = "measured"
	}
	s.Summary = fmt.Sprintf("%d %% of %s, less %s of pools with a fixed size, shared by %d = %s; at %s a worker (%s) that is %d, "+
		"at least %d, at most %d for each of %d CPUs: %d workers",
		memoryShare, humanize.IBytes(uint64(m.memory)), humanize.IBytes(uint64(taken)), s.Pools,
		humanize.IBytes(uint64(share)), humanize.IBytes(uint64(worker)), by, fit, minAutoWorkers, workersPerCPU,
		m.cpus, s.MaxWorkers)
	return s
}

// growthFactor is how many times its size a pool may grow when its workers turn out
// to be smaller than memory_limit.
const growthFactor = 4

// slotsFor is for how many workers to start a generation, so that it can grow
// without a new one. An unused slot is a forked child: it costs little, but with
// hundreds of ondemand pools, each with its own, that little is gigabytes; such
// a pool grows when it wakes the next time.
func (s *Sizing) slotsFor(manager pool.Manager) int {
	if manager == pool.OnDemand {
		return s.MaxWorkers
	}
	return min(workersPerCPU*s.CPUs, growthFactor*s.MaxWorkers)
}

// IsAuto reports whether the pool sizes itself.
func (o *Options) IsAuto() bool { return o.EffectiveManager() != pool.Static && o.MaxWorkers <= 0 }

// workerBytes is what one worker of a pool is counted as: its memory_limit, or
// half as much again as the most that was measured.
func (s *Plan) workerBytes(measured int64) (int64, bool) {
	limit := s.Binary.MemoryLimit
	if limit <= 0 {
		limit = defaultWorkerBytes
	}
	limit = min(limit, maxWorkerBytes)
	if measured == 0 {
		return limit, false
	}
	return min(limit, max(minWorkerBytes, measured+measured/2)), true
}

// Allocate shares the machine out over all pools; measured has what was measured
// of each.
func Allocate(m Resources, specs map[string]*Plan, measured map[string]int64) {
	var taken int64
	auto := 0
	for name, s := range specs {
		if s.Options.IsAuto() {
			auto++
			continue
		}
		worker, _ := s.workerBytes(measured[name])
		taken += worker * int64(s.Settings.MaxWorkers)
	}
	for name, s := range specs {
		if s.Options.IsAuto() {
			worker, isMeasured := s.workerBytes(measured[name])
			size := m.size(auto, taken, worker, isMeasured)
			s.Sizing = &size
			s.Settings = s.Options.Settings(size.MaxWorkers)
			s.Settings.Slots = size.slotsFor(s.Settings.Manager)
		}
	}
}
