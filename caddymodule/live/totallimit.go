package live

import (
	"fmt"
	"sync"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// total limits the workers of all pools of this process, those of configs that are
// being replaced included.
var total = new(pool.TotalLimit)

// totalSetting is the option max_workers_total of the active config, and that of the
// config that is being loaded.
var totalSetting struct {
	mu     sync.Mutex
	owner  Owner // nil if no config is active
	max    int   // 0 means no limit
	next   Owner // nil unless a config is being loaded
	staged int
}

// StageTotal sets the maximum number of workers of all pools for a config, 0 for no
// limit. It applies at once if no config is active, else from [TotalStopped] on.
func StageTotal(app Owner, n int) {
	s := &totalSetting
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.staged = app, n
	if s.owner == nil {
		activateTotalLocked()
	}
}

// UnstageTotal discards what StageTotal has set for app, if it does not apply yet.
func UnstageTotal(app Owner) {
	s := &totalSetting
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == app {
		s.next = nil
	}
}

// TotalStopped applies what StageTotal has set if app, whose config has stopped, was
// the active one.
func TotalStopped(app Owner) {
	s := &totalSetting
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == app {
		activateTotalLocked()
	}
}

// activateTotalLocked applies the staged maximum, or none if no config is being loaded.
func activateTotalLocked() {
	s := &totalSetting
	if s.next == nil {
		s.staged = 0
	}
	s.owner, s.max, s.next = s.next, s.staged, nil
	total.SetMax(s.max)
}

// checkTotal returns an error if all pools together could not keep their minimum, once
// this pool has the settings.
func (p *Pool) checkTotal(settings *pool.Settings) error {
	totalSetting.mu.Lock()
	n := totalSetting.max
	totalSetting.mu.Unlock()
	minima := map[string]int{p.Name: settings.Minimum()}
	for _, other := range All() {
		if plan, _ := other.Active(); other != p && plan != nil {
			minima[other.Name] = plan.Settings.Minimum()
		}
	}
	return CheckTotal(n, minima)
}

// CheckTotal returns an error if max_workers_total is less than what pools need: the
// minimum of each, by name, and one worker for all that have none, so that each of
// these gets one in turn. 0 is no limit.
func CheckTotal(maxTotal int, minima map[string]int) error {
	if maxTotal == 0 {
		return nil
	}
	sum, some := 0, 0
	for _, n := range minima {
		if n == 0 {
			some = 1
		}
		sum += n
	}
	if sum+some <= maxTotal {
		return nil
	}
	return fmt.Errorf("max_workers_total %d is less than the %d workers that the pools need at least "+
		"(workers of static pools, min_workers of dynamic ones, 1 for all that are ondemand): "+
		"raise it, lower those, or write manager ondemand", maxTotal, sum+some)
}
