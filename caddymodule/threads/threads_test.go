package threads

import (
	"runtime"
	"strings"
	"testing"
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
	if got := CPUs(); got != before {
		t.Errorf("got %d CPUs, want %d", got, before)
	}
	Use(third, Off)
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

func TestUse_Default(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	owner := new(int)
	for _, tt := range []struct {
		cpus int
		env  string
		auto bool
	}{
		{1, "", false},
		{2, "", runtime.GOOS == "linux"},
		{2, "2", false},
		{3, "", false},
	} {
		runtime.GOMAXPROCS(tt.cpus)
		t.Setenv("GOMAXPROCS", tt.env)
		Use(owner, "")
		if got := Current(); (got != nil && got.Setting == Auto) != tt.auto {
			t.Errorf("%d CPUs, GOMAXPROCS=%s: got %+v", tt.cpus, tt.env, got)
		}
		Drop(owner)
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
		if !ok || s.used < 0 || s.idle < 0 || s.waited < 0 {
			t.Fatalf("got %+v, %t", s, ok)
		}
		used = s.used
	}
	t.Log(sum) // used, so that the loop is not optimized away
}
