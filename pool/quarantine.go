package pool

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Quarantine stops a script that crashes its workers from taking the whole pool
// down.
type Quarantine struct {
	// A script is quarantined for Period after Deaths crashes within Window without a
	// successful run in between. 0 disables the quarantine. A script that sometimes
	// succeeds is not quarantined: it may be the front controller of a whole site of
	// which one URL crashes, and an occasional crash costs little.
	Deaths         int
	Window, Period time.Duration
}

// quarantine records which scripts crashed workers recently. It is empty as long as
// nothing crashes.
type quarantine struct {
	// count is len(until), to be read without the mutex.
	count atomic.Int32

	deaths map[string][]time.Time
	until  map[string]time.Time
}

// checkQuarantine returns ErrQuarantined if the script is in quarantine.
func (p *Pool) checkQuarantine(script string) error {
	if p.quarantine.count.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.quarantine.until[script]
	if !ok {
		return nil
	}
	if time.Now().Before(until) {
		p.rejections.Quarantined++
		return ErrQuarantined
	}
	delete(p.quarantine.until, script)
	p.quarantine.count.Store(int32(len(p.quarantine.until)))
	return nil
}

// recordCrashLocked counts a worker crash during the script, and quarantines the
// script after too many.
func (p *Pool) recordCrashLocked(script string) {
	q := p.settings.Quarantine
	if q.Deaths == 0 || script == "" {
		return
	}
	now := time.Now()
	if p.quarantine.deaths == nil {
		p.quarantine.deaths = map[string][]time.Time{}
		p.quarantine.until = map[string]time.Time{}
	}
	recent := p.quarantine.deaths[script]
	for len(recent) > 0 && now.Sub(recent[0]) > q.Window {
		recent = recent[1:]
	}
	recent = append(recent, now)
	p.quarantine.deaths[script] = recent
	p.pruneLocked(now)
	if len(recent) < q.Deaths {
		return
	}
	delete(p.quarantine.deaths, script)
	p.quarantine.until[script] = now.Add(q.Period)
	p.quarantine.count.Store(int32(len(p.quarantine.until)))
	p.logLocked(p.log.Error, "script quarantined after repeated worker crashes",
		zap.String("script", script), zap.Int("deaths", len(recent)),
		zap.Duration("window", q.Window), zap.Duration("quarantined_for", q.Period))
}

// recordSuccessLocked resets the crash count of a script that has run successfully.
func (p *Pool) recordSuccessLocked(script string) {
	if len(p.quarantine.deaths) > 0 {
		delete(p.quarantine.deaths, script)
	}
}

// pruneLocked removes scripts whose quarantine or last crash is long ago.
func (p *Pool) pruneLocked(now time.Time) {
	for script, until := range p.quarantine.until {
		if now.After(until) {
			delete(p.quarantine.until, script)
		}
	}
	p.quarantine.count.Store(int32(len(p.quarantine.until)))
	for script, times := range p.quarantine.deaths {
		if now.Sub(times[len(times)-1]) > p.settings.Window {
			delete(p.quarantine.deaths, script)
		}
	}
}
