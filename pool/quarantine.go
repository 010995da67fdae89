package pool

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Quarantine rejects requests that keep crashing their workers. Clients decide
// what they send, so it must not reject more than has crashed: one path of one
// script. Other paths of the same script go on, because it may be the front
// controller of a whole site.
type Quarantine struct {
	// Crashes is how many requests for a script with the same path must crash their
	// workers within Window, while none succeeds, for such requests to be rejected for
	// Period. 0 disables the quarantine.
	Crashes        int
	Window, Period time.Duration
}

// quarantine records what crashed workers recently. It is empty as long as nothing
// crashes.
type quarantine struct {
	// count is the number of records with until, to be read without the mutex.
	count atomic.Int32

	records map[quarantineKey]*crashRecord
}

// quarantineKey names the requests that are counted, and rejected, together. Clients
// choose paths: see maxCrashRecords and maxCrashPath.
type quarantineKey struct{ script, path string }

func (k quarantineKey) String() string { return k.script + " at " + k.path }

// crashRecord is the recent past of a key.
type crashRecord struct {
	crashes []time.Time // within Window; no more than Crashes
	served  time.Time   // the last successful request since the first crash
	until   time.Time   // the end of the quarantine; zero for none
}

// The most keys that are recorded, and the longest path, so that clients cannot
// use up the memory with crashes at ever different paths. What exceeds them is not
// quarantined.
const (
	maxCrashRecords = 1024
	maxCrashPath    = 1024 // bytes
)

func quarantineKeyOf(info *Info) quarantineKey { return quarantineKey{info.Script, info.URI} }

// checkQuarantine returns ErrQuarantined if requests like this one are in
// quarantine.
func (p *Pool) checkQuarantine(info *Info) error {
	if p.quarantine.count.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.quarantine.records[quarantineKeyOf(info)]
	if r == nil || r.until.IsZero() {
		return nil
	}
	if now := time.Now(); !now.Before(r.until) {
		p.pruneQuarantineLocked(now)
		return nil
	}
	p.rejections.Quarantined++
	return ErrQuarantined
}

// recordCrashLocked counts a request that crashed its worker, and starts a
// quarantine after too many. A request that crashes a second worker counts once.
func (p *Pool) recordCrashLocked(info *Info) {
	q := p.settings.Quarantine
	if q.Crashes == 0 || info.Script == "" || info.crashed || len(info.URI) > maxCrashPath {
		return
	}
	now := time.Now()
	p.pruneQuarantineLocked(now)
	key := quarantineKeyOf(info)
	r := p.quarantine.records[key]
	if r == nil {
		if len(p.quarantine.records) == maxCrashRecords {
			return
		}
		if p.quarantine.records == nil {
			p.quarantine.records = map[quarantineKey]*crashRecord{}
		}
		r = new(crashRecord)
		p.quarantine.records[key] = r
	}
	for len(r.crashes) > 0 && (len(r.crashes) >= q.Crashes || now.Sub(r.crashes[0]) > q.Window) {
		r.crashes = r.crashes[1:]
	}
	r.crashes = append(r.crashes, now)
	if len(r.crashes) < q.Crashes || !r.until.IsZero() || !r.served.IsZero() && now.Sub(r.served) <= q.Window {
		return
	}
	r.until = now.Add(q.Period)
	p.quarantine.count.Add(1)
	p.logLocked(p.log.Error, "script quarantined after repeated worker crashes",
		zap.String("script", key.script), zap.String("uri", key.path), zap.Int("crashes", len(r.crashes)),
		zap.Duration("window", q.Window), zap.Duration("quarantined_for", q.Period))
}

// recordSuccessLocked records that a request was served.
func (p *Pool) recordSuccessLocked(info *Info) {
	if len(p.quarantine.records) == 0 {
		return
	}
	if r := p.quarantine.records[quarantineKeyOf(info)]; r != nil {
		r.served = time.Now()
	}
}

// pruneQuarantineLocked removes records whose last crash and quarantine are long
// ago.
func (p *Pool) pruneQuarantineLocked(now time.Time) {
	var count int32
	for key, r := range p.quarantine.records {
		if !r.until.IsZero() {
			if now.Before(r.until) {
				count++
				continue
			}
			delete(p.quarantine.records, key)
		} else if now.Sub(r.crashes[len(r.crashes)-1]) > p.settings.Window {
			delete(p.quarantine.records, key)
		}
	}
	p.quarantine.count.Store(count)
}
