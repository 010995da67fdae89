package threads

import (
	"os"
	"runtime"
	"slices"
	"sync"
)

// active has the settings of the configs that have started and were not stopped. The
// last one counts.
var active struct {
	mu      sync.Mutex
	uses    []use
	applied Setting
	before  int    // GOMAXPROCS without us; 0 while applied is off
	stop    func() // ends adapt; nil if that does not run
}

type use struct {
	owner   any
	setting Setting
}

// Use applies the setting of a config that starts, until Drop is called with the same
// owner. While two configs run, the later one counts.
func Use(owner any, s Setting) {
	active.mu.Lock()
	defer active.mu.Unlock()
	active.uses = append(active.uses, use{owner, s})
	applyLocked()
}

// Drop ends the use of a config's setting.
func Drop(owner any) {
	active.mu.Lock()
	defer active.mu.Unlock()
	active.uses = slices.DeleteFunc(active.uses, func(u use) bool { return u.owner == owner })
	applyLocked()
}

// applyLocked applies the last setting.
func applyLocked() {
	a := &active
	s := Off
	if n := len(a.uses); n > 0 {
		s = a.uses[n-1].setting
	}
	if s == "" {
		s = defaultFor(cpusLocked())
	}
	if s == a.applied || s == Off && a.applied == "" {
		return
	}
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
	if a.before > 0 {
		restore(a.before)
		a.before = 0
	}
	a.applied = s
	if s == Off {
		return
	}
	a.before = runtime.GOMAXPROCS(0)
	if n, _ := s.limit(); n > 0 {
		runtime.GOMAXPROCS(min(n, a.before))
		return
	}
	a.stop = startAdapting(a.before)
}

// defaultFor returns the setting of a config that has none, with so many CPUs.
func defaultFor(cpus int) Setting {
	if runtime.GOOS == "linux" && cpus == 2 && os.Getenv("GOMAXPROCS") == "" {
		return Auto
	}
	return Off
}

// CPUs returns how many CPUs Go would use without a setting: GOMAXPROCS of the
// environment, or what the machine and the cgroup have.
func CPUs() int {
	active.mu.Lock()
	defer active.mu.Unlock()
	return cpusLocked()
}

func cpusLocked() int {
	if active.before > 0 {
		return active.before
	}
	return runtime.GOMAXPROCS(0)
}

// restore sets GOMAXPROCS back. Go follows changes of the cgroup's limit only with its
// own default, which Caddy has replaced if the two round that limit differently.
func restore(before int) {
	runtime.SetDefaultGOMAXPROCS()
	if runtime.GOMAXPROCS(0) != before {
		runtime.GOMAXPROCS(before)
	}
}

// Status describes what is active.
type Status struct {
	// Setting is the option.
	Setting Setting `json:"setting"`
	// Now is GOMAXPROCS, and Max what it is without the setting.
	Now int `json:"now"`
	Max int `json:"max"`
}

// Current returns what is active; nil if the setting is off.
func Current() *Status {
	active.mu.Lock()
	defer active.mu.Unlock()
	if active.before == 0 {
		return nil
	}
	return &Status{active.applied, runtime.GOMAXPROCS(0), active.before}
}
