package caddymodule

import (
	"runtime"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

const (
	// memoryShare is how much of the machine's memory all pools together may
	// plan with.
	memoryShare = 0.6
	// unlimitedWorker is what a worker is counted as when PHP's memory_limit
	// is off.
	unlimitedWorker = 128 << 20
	// Between fewestWorkers and workersPerCPU for each CPU lies what
	// max_workers auto comes to, whatever the memory.
	fewestWorkers = 2
	workersPerCPU = 8
)

// machine is what sizes are computed from.
type machine struct {
	cpus   int
	memory int64 // bytes: of the cgroup where it is limited, else of the machine
}

func thisMachine() machine {
	m := machine{cpus: runtime.GOMAXPROCS(0)}
	n, err := memlimit.FromCgroup()
	if err != nil || n == 0 {
		n, err = memlimit.FromSystem()
	}
	if err == nil {
		m.memory = int64(min(n, 1<<62))
	}
	return m
}

// workers says what max_workers auto comes to for each of so many pools, when
// a worker may take perWorker bytes.
func (m machine) workers(pools int, perWorker int64) int {
	if perWorker <= 0 {
		perWorker = unlimitedWorker
	}
	most := workersPerCPU * m.cpus
	if m.memory <= 0 {
		return most
	}
	share := int64(float64(m.memory) * memoryShare / float64(max(1, pools)))
	return max(fewestWorkers, min(most, int(share/perWorker)))
}

// autoWorkers is max_workers auto for a pool that is alone.
func autoWorkers(b *phpbin.Binary) int { return thisMachine().workers(1, b.MemoryLimit) }

// budget shares the machine out over all pools that size themselves.
func budget(specs map[string]*spec) {
	var auto []*spec
	for _, s := range specs {
		if s.options.Workers == 0 && s.options.MaxWorkers == 0 {
			auto = append(auto, s)
		}
	}
	m := thisMachine()
	for _, s := range auto {
		s.settings = s.options.settings(m.workers(len(auto), s.binary.MemoryLimit))
	}
}
