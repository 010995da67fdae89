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

// sickbay remembers which scripts killed workers lately. It is empty as long
// as nothing crashes.
type sickbay struct {
	// patients is how many until has: read without the mutex.
	patients atomic.Int32

	deaths map[string][]time.Time
	until  map[string]time.Time
}

// admit refuses a quarantined script.
func (p *Pool) admit(script string) error {
	if p.sick.patients.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ill := p.sick.until[script]
	if !ill {
		return nil
	}
	if time.Now().Before(until) {
		p.refused++
		return ErrQuarantined
	}
	delete(p.sick.until, script)
	p.sick.patients.Store(int32(len(p.sick.until)))
	return nil
}

// recordLocked notes that a worker died while it ran the script.
func (p *Pool) recordLocked(script string) {
	q := p.set.Quarantine
	if q.Deaths == 0 || script == "" {
		return
	}
	now := time.Now()
	if p.sick.deaths == nil {
		p.sick.deaths = map[string][]time.Time{}
		p.sick.until = map[string]time.Time{}
	}
	recent := p.sick.deaths[script]
	for len(recent) > 0 && now.Sub(recent[0]) > q.Window {
		recent = recent[1:]
	}
	recent = append(recent, now)
	p.sick.deaths[script] = recent
	p.pruneLocked(now)
	if len(recent) < q.Deaths {
		return
	}
	delete(p.sick.deaths, script)
	p.sick.until[script] = now.Add(q.Period)
	p.sick.patients.Store(int32(len(p.sick.until)))
	p.tellLocked(p.log.Error, "a script killed too many workers; it is not run for a while",
		zap.String("script", script), zap.Int("deaths", len(recent)),
		zap.Duration("within", q.Window), zap.Duration("for", q.Period))
}

// servedLocked forgets the deaths of a script that has run well.
func (p *Pool) servedLocked(script string) {
	if len(p.sick.deaths) > 0 {
		delete(p.sick.deaths, script)
	}
}

// pruneLocked forgets scripts whose deaths are long past.
func (p *Pool) pruneLocked(now time.Time) {
	for script, until := range p.sick.until {
		if now.After(until) {
			delete(p.sick.until, script)
		}
	}
	p.sick.patients.Store(int32(len(p.sick.until)))
	for script, times := range p.sick.deaths {
		if now.Sub(times[len(times)-1]) > p.set.Window {
			delete(p.sick.deaths, script)
		}
	}
}
