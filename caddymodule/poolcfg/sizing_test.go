package poolcfg

import (
	"math"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/caddymodule/threads"
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
		{"1 GB, 1 CPU: 60 % by 128 MB", Resources{cpus: 1, memory: gb}, 1, 128 * mb, 4},
		{"1 GB, 1 CPU, memory_limit off", Resources{cpus: 1, memory: gb}, 1, -1, 4},
		{"1 GB shared by 20 sites", Resources{cpus: 1, memory: gb}, 20, 128 * mb, 2},
		{"2 GB, 2 CPUs", Resources{cpus: 2, memory: 2 * gb}, 1, 128 * mb, 9},
		{"24 GB, 2 CPUs: 8 for each CPU", Resources{cpus: 2, memory: 24 * gb}, 1, 128 * mb, 16},
		{"256 GB, 64 cores", Resources{cpus: 64, memory: 256 * gb}, 1, 256 * mb, 512},
		{"memory unknown", Resources{cpus: 4, memory: 0}, 1, 128 * mb, 32},
		{"a huge memory_limit", Resources{cpus: 8, memory: 8 * gb}, 1, 4 * gb, 2},
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
	Allocate(Resources{cpus: 4, memory: 2 * gb}, plans, nil)
	for name, want := range map[string]int{"fixed": 4, "a": 5, "b": 5} {
		if got := plans[name].Settings.MaxWorkers; got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	// A worker that was measured to use 20 MB counts as 30 MB.
	Allocate(Resources{cpus: 4, memory: 2 * gb}, plans, map[string]int64{"a": 20 * mb})
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

func TestSizing_MaxWorkersTotal(t *testing.T) {
	plans := map[string]*Plan{
		"fixed": planOf(Options{Workers: 2}, 64<<20),
		"many":  planOf(Options{MaxWorkers: 50}, 64<<20),
		"auto":  planOf(Options{}, 64<<20),
	}
	Allocate(Resources{cpus: 4, memory: 16 << 30, total: 6}, plans, nil)
	for name, want := range map[string]int{"fixed": 2, "many": 6, "auto": 6} {
		if s := plans[name].Settings; s.MaxWorkers != want || s.Slots > 6 || s.StartWorkers > want {
			t.Errorf("%s: got %+v, want %d workers", name, s.Size, want)
		}
	}
	if text := plans["auto"].Sizing.Summary; !strings.HasSuffix(text, "workers; max_workers_total allows 6") {
		t.Errorf("got %s", text)
	}
}

func TestSizing_HugeMemoryLimit(t *testing.T) {
	plans := map[string]*Plan{
		"huge": planOf(Options{Workers: 4}, math.MaxInt64),
		"auto": planOf(Options{}, 64<<20),
	}
	Allocate(Resources{cpus: 4, memory: 2 << 30}, plans, nil)
	if got := plans["auto"].Settings.MaxWorkers; got != minAutoWorkers {
		t.Errorf("got %d (%s), want %d", got, plans["auto"].Sizing.Summary, minAutoWorkers)
	}
}

// TestDetectResources_Threads has a config that leaves PHP more of the CPUs.
func TestDetectResources_Threads(t *testing.T) {
	want := DetectResources(0).cpus
	owner := new(int)
	threads.Use(owner, "1")
	defer threads.Drop(owner)
	if got := DetectResources(0).cpus; got != want {
		t.Errorf("got %d CPUs, want %d", got, want)
	}
}
