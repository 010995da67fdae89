package poolcfg

import (
	"math"
	"testing"

	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// planOf returns a plan for a php-cgi with this memory_limit.
func planOf(o Options, memoryLimit int64) *Plan {
	return &Plan{Options: &o, Binary: &phpbin.Binary{MemoryLimit: memoryLimit}, Settings: o.Settings(minAutoWorkers)}
}

func TestSizing_AutoMaxWorkers(t *testing.T) {
	const mb, gb = 1 << 20, 1 << 30
	for _, c := range []struct {
		name      string
		resources Resources
		pools     int
		perWorker int64
		want      int
	}{
		{"1 GB, 1 CPU: 60 % by 128 MB", Resources{1, gb}, 1, 128 * mb, 4},
		{"1 GB, 1 CPU, memory_limit off", Resources{1, gb}, 1, -1, 4},
		{"1 GB shared by 20 sites", Resources{1, gb}, 20, 128 * mb, 2},
		{"2 GB, 2 CPUs", Resources{2, 2 * gb}, 1, 128 * mb, 9},
		{"24 GB, 2 CPUs: 8 for each CPU", Resources{2, 24 * gb}, 1, 128 * mb, 16},
		{"256 GB, 64 cores", Resources{64, 256 * gb}, 1, 256 * mb, 512},
		{"memory unknown", Resources{4, 0}, 1, 128 * mb, 32},
		{"a huge memory_limit", Resources{8, 8 * gb}, 1, 4 * gb, 2},
	} {
		if got := c.resources.size(c.pools, 0, c.perWorker, false); got.MaxWorkers != c.want {
			t.Errorf("%s: got %d (%s), want %d", c.name, got.MaxWorkers, got.Summary, c.want)
		}
	}
}

func TestSizing_MemoryDivided(t *testing.T) {
	const mb, gb = 1 << 20, 1 << 30
	plans := map[string]*Plan{
		"fixed": planOf(Options{Workers: 4}, 128*mb),
		"a":     planOf(Options{}, 64*mb),
		"b":     planOf(Options{Manager: "ondemand"}, 64*mb),
	}
	// 60 % of 2 GB is 1228 MB, of which 512 MB are reserved: 358 MB for each of a and b.
	Allocate(Resources{4, 2 * gb}, plans, nil)
	for name, want := range map[string]int{"fixed": 4, "a": 5, "b": 5} {
		if got := plans[name].Settings.MaxWorkers; got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	// A worker that was measured to use 20 MB counts as 30 MB.
	Allocate(Resources{4, 2 * gb}, plans, map[string]int64{"a": 20 * mb})
	if got := plans["a"].Settings.MaxWorkers; got != 11 {
		t.Errorf("a, measured: got %d (%s), want 11", got, plans["a"].Sizing.Summary)
	}
	if got := plans["b"].Settings.MaxWorkers; got != 5 {
		t.Errorf("b, not measured: got %d, want 5", got)
	}
	if plans["fixed"].Sizing != nil {
		t.Error("fixed: got a Sizing, want nil")
	}
}

func TestSizing_HugeMemoryLimit(t *testing.T) {
	plans := map[string]*Plan{
		"huge": planOf(Options{Workers: 4}, math.MaxInt64),
		"auto": planOf(Options{}, 64<<20),
	}
	Allocate(Resources{4, 2 << 30}, plans, nil)
	if got := plans["auto"].Settings.MaxWorkers; got != minAutoWorkers {
		t.Errorf("got %d (%s), want %d", got, plans["auto"].Sizing.Summary, minAutoWorkers)
	}
}
