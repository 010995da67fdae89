package threads

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSetting_Validate(t *testing.T) {
	for _, good := range []Setting{"", "off", "auto", "1", "64"} {
		if err := good.Validate(); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []Setting{"0", "-1", "on", "2.5", "Auto"} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "write auto, off or a number") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

// The later of two configs counts, as in a reload, and a config that fails leaves the
// one before it in effect.
func TestUse_Reload(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
	before := runtime.GOMAXPROCS(0)
	want := func(what string, n int) {
		t.Helper()
		if got := runtime.GOMAXPROCS(0); got != n {
			t.Errorf("%s: got GOMAXPROCS %d, want %d", what, got, n)
		}
	}
	first, second, third := new(int), new(int), new(int)
	Use(first, "1")
	want("1", 1)
	Use(second, "64")
	want("more than there are", before)
	Drop(second)
	want("the second config has failed", 1)
	Use(second, Auto)
	if got := Current(); got == nil || got.Setting != Auto || got.Max != before {
		t.Errorf("got %+v, want auto with a maximum of %d", got, before)
	}
	Drop(first)
	Use(third, "")
	Drop(second)
	want("off", before)
	if got := Current(); got != nil {
		t.Errorf("got %+v, want nothing", got)
	}
	Use(first, "1")
	Drop(third)
	want("1 again", 1)
	Drop(first)
	want("no config", before)
}

func TestController(t *testing.T) {
	var (
		busy    = sample{used: 1.1, idle: 0.1, waiting: 3}   // PHP needs the rest
		needs   = sample{used: 1.7, idle: 0.1, waiting: 2}   // TLS
		starved = sample{used: 1, idle: 0.8, waiting: 5}     // TLS with a limit of 1
		limited = sample{used: 0.95, idle: 0.35, waiting: 2} // busy with a limit of 1
		calmly  = sample{used: 0.2, idle: 1.5, waiting: 0}
	)
	repeat := func(s sample, n int) []sample { return slices.Repeat([]sample{s}, n) }
	for _, c := range []struct {
		what    string
		max     int
		samples []sample
		want    int
	}{
		{"nothing to do", 2, repeat(calmly, 100), 2},
		{"PHP needs the rest", 2, repeat(busy, 10), 1},
		{"a short peak", 2, slices.Concat(repeat(busy, calm-1), repeat(calmly, 1), repeat(busy, calm-1)), 2},
		{"Caddy needs more than one CPU", 2, repeat(needs, 100), 2},
		{"the limit stays", 2, slices.Concat(repeat(busy, 10), repeat(limited, 100)), 1},
		{"a limit that harms", 2, slices.Concat(repeat(busy, 10), repeat(starved, 1)), 2},
		{"idle CPUs", 2, slices.Concat(repeat(busy, 10), repeat(calmly, 1)), 2},
		{"several CPUs", 8, repeat(sample{used: 3, idle: 0.1, waiting: 5}, 100), 3},
		{"at least one", 2, repeat(sample{used: 0.1, idle: 0.1}, 100), 1},
	} {
		control := newController(c.max)
		for _, s := range c.samples {
			control.next(s)
		}
		if control.limit != c.want {
			t.Errorf("%s: got %d, want %d", c.what, control.limit, c.want)
		}
	}
}

// A limit that has harmed is tried again less and less often.
func TestController_Backoff(t *testing.T) {
	busy, starved := sample{used: 1.1, idle: 0.1}, sample{used: 1, idle: 0.8, waiting: 5}
	control := newController(2)
	lowered := 0
	for range 1000 {
		s := busy
		if control.limit == 1 {
			s = starved
			lowered++
		}
		control.next(s)
	}
	if lowered < 2 || lowered > 12 {
		t.Errorf("the limit was lowered %d times in 1000 samples, want 2 to 12", lowered)
	}
}

// Caddy is measured less often only while it has nothing to do and has no limit.
func TestController_Idle(t *testing.T) {
	idle, busy := sample{used: 0.01, idle: 1.9}, sample{used: 1.1, idle: 0.1}
	for _, c := range []struct {
		limit int
		s     sample
		want  time.Duration
	}{{2, idle, idleInterval}, {2, busy, interval}, {1, idle, interval}} {
		control := newController(2)
		control.limit = c.limit
		if got := control.pauseAfter(c.s); got != c.want {
			t.Errorf("limit %d, %+v: got %v, want %v", c.limit, c.s, got, c.want)
		}
	}
}

func TestMeter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("auto is for Linux")
	}
	m, ok := newMeter()
	if !ok {
		t.Fatal("no meter")
	}
	defer m.close()
	sum := 0
	for used := 0.0; used == 0; {
		for i := range 10_000_000 {
			sum ^= i
		}
		s, ok := m.sample()
		if !ok || s.used < 0 || s.idle < 0 || s.waiting < 0 {
			t.Fatalf("got %+v, %t", s, ok)
		}
		used = s.used
	}
	t.Log(sum) // used, so that the loop is not optimized away
}
