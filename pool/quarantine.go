package pool

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Quarantine keeps a script that kills every worker that runs it from felling
// the pool.
type Quarantine struct {
	// Deaths within Window, with no run between them that went well, put the
	// script aside for Period; 0 is off. A script that also serves is let be:
	// it may be the front controller of a whole site, one address of which
	// crashes, and a worker that dies now and then costs little.
	Deaths         int
	Window, Period time.Duration
}

// quarantine remembers which scripts killed workers lately. It is empty as long
// as nothing crashes.
type quarantine struct {
	// count is how many until has: read without the mutex.
	count atomic.Int32

	deaths map[string][]time.Time
	until  map[string]time.Time
}

// checkQuarantine refuses a quarantined script.
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

// recordCrashLocked notes that a worker died while it ran the script.
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
	p.logLocked(p.log.Error, "a script killed too many workers; it is not run for a while",
		zap.String("script", script), zap.Int("deaths", len(recent)),
		zap.Duration("within", q.Window), zap.Duration("for", q.Period))
}

// recordSuccessLocked forgets the deaths of a script that has run well.
func (p *Pool) recordSuccessLocked(script string) {
	if len(p.quarantine.deaths) > 0 {
		delete(p.quarantine.deaths, script)
	}
}

// pruneLocked forgets scripts whose deaths are long past.
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
