package poolcfg

import (
	"math"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

func specOf(o Options, memoryLimit int64) *Plan {
	return &Plan{Options: &o, Binary: &phpbin.Binary{MemoryLimit: memoryLimit}, Settings: o.Settings(minAutoWorkers)}
}

func TestOneBudgetIsSharedByAllPools(t *testing.T) {
	const mb, gb = 1 << 20, 1 << 30
	specs := map[string]*Plan{
		"fixed": specOf(Options{Workers: 4}, 128*mb),
		"a":     specOf(Options{}, 64*mb),
		"b":     specOf(Options{Manager: "ondemand"}, 64*mb),
	}
	// 60 % of 2 GB is 1228 MB; 512 are taken; 358 for each of the two.
	Allocate(Resources{4, 2 * gb}, specs, nil)
	for name, want := range map[string]int{"fixed": 4, "a": 5, "b": 5} {
		if got := specs[name].Settings.MaxWorkers; got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	// Measured to use 20 MB, a worker counts as 30.
	Allocate(Resources{4, 2 * gb}, specs, map[string]int64{"a": 20 * mb})
	if got := specs["a"].Settings.MaxWorkers; got != 11 {
		t.Errorf("a, measured: got %d (%s), want 11", got, specs["a"].Sizing.Summary)
	}
	if got := specs["b"].Settings.MaxWorkers; got != 5 {
		t.Errorf("b, not measured: got %d, want 5", got)
	}
	if specs["fixed"].Sizing != nil {
		t.Error("a pool of fixed size shows an arithmetic")
	}
}

func TestAMemoryLimitBeyondAllMachinesDoesNotOverflow(t *testing.T) {
	specs := map[string]*Plan{
		"huge": specOf(Options{Workers: 4}, math.MaxInt64),
		"auto": specOf(Options{}, 64<<20),
	}
	Allocate(Resources{4, 2 << 30}, specs, nil)
	if got := specs["auto"].Settings.MaxWorkers; got != minAutoWorkers {
		t.Errorf("beside a pool that takes all: got %d (%s), want %d", got, specs["auto"].Sizing.Summary, minAutoWorkers)
	}
}
