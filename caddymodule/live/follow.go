package live

import (
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
)

const (
	// followInterval is how often the files of a worker script are checked: at most, for
	// a check may take scanShare of the time only.
	followInterval = 250 * time.Millisecond
	scanShare      = 20 // one in so many
	// followRetry is the time between two attempts to start a generation for the same
	// reason, and between two that scripts have asked for.
	followRetry = 5 * time.Second
)

// resetRequested asks for a new generation, because a script has called
// opcache_reset(), or has started without OPcache, which PHP wants to restart because it is
// full: while worker scripts run, PHP can do neither.
func (p *Pool) resetRequested() {
	select {
	case p.resets <- struct{}{}:
	default: // it is asked for already
	}
}

// follow starts a new generation of a worker's pool when the path of the script leads to
// another directory, as after a deployment that replaces a symlink, when a file has
// changed that the option watch names, and when OPcache is to be reset.
// The old generation serves until the new one is ready, and stays if that fails.
func (p *Pool) follow() {
	f := follower{pool: p}
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.closeCtx.Done():
			return
		case <-ticker.C:
		}
		plan, _ := p.Active()
		if plan == nil || plan.Worker == nil {
			continue
		}
		f.check(plan)
	}
}

// follower is the state of follow.
type follower struct {
	pool     *Pool
	triedAt  time.Time // of the last restart
	tried    string    // the reason for it
	nextScan time.Time
	// seen are the watched files of the last scan, failed those with which a generation
	// was started last.
	seen, failed map[string]poolcfg.WatchedFile
}

func (f *follower) check(plan *poolcfg.Plan) {
	if script, moved := movedScript(plan); moved {
		f.restart("the script is now "+script, true, func(plan *poolcfg.Plan) bool {
			_, moved := movedScript(plan)
			return moved
		})
		return
	}
	select {
	case <-f.pool.resets:
		if !f.restart("opcache_reset() in a worker script, or OPcache is full", false, always) {
			f.pool.resetRequested() // later
		}
		return
	default:
	}
	if len(plan.Worker.Watch) > 0 && time.Now().After(f.nextScan) {
		f.scan(plan.Worker)
	}
}

// movedScript returns the path to which that of the script leads, and whether it is
// another one than the workers run.
func movedScript(plan *poolcfg.Plan) (script string, moved bool) {
	if plan.Worker == nil {
		return "", false
	}
	script, err := poolcfg.ResolveScript(plan.Worker.File)
	return script, err == nil && script != plan.Worker.Script && poolcfg.IsFile(script)
}

// restart starts a generation if that is wanted, unless the last attempt was too recent.
// again means that only one with the same reason counts.
func (f *follower) restart(reason string, again bool, wanted func(*poolcfg.Plan) bool) bool {
	if time.Since(f.triedAt) < followRetry && (!again || reason == f.tried) {
		return false
	}
	f.tried = reason
	if err := f.pool.restartIf(f.pool.closeCtx, reason, wanted); err != nil && f.pool.closeCtx.Err() == nil {
		f.pool.logger.Error("the new generation of the worker script failed to start; keeping the old one",
			zap.String("reason", reason), zap.Error(err))
	}
	f.triedAt = time.Now()
	return true
}

// scan starts a generation if watched files have changed since the running one was
// started. It waits until two scans in a row agree: an editor or a deployment writes many
// files.
func (f *follower) scan(worker *poolcfg.WorkerPlan) {
	start := time.Now()
	now := poolcfg.WatchedFiles(worker.Watch)
	f.nextScan = time.Now().Add(scanShare * time.Since(start))
	stable := maps.Equal(now, f.seen)
	f.seen = now
	if !stable || maps.Equal(now, worker.Files) || maps.Equal(now, f.failed) {
		return
	}
	f.failed = now // unless the plan of the next generation has these files
	f.tried = ""
	f.restart("changed: "+firstChanged(now, worker.Files), true, always)
}

// firstChanged returns a path, the first in order, whose state differs in the two.
func firstChanged(a, b map[string]poolcfg.WatchedFile) string {
	first := ""
	for _, pair := range [][2]map[string]poolcfg.WatchedFile{{a, b}, {b, a}} {
		for path, state := range pair[0] {
			if other, ok := pair[1][path]; (!ok || other != state) && (first == "" || path < first) {
				first = path
			}
		}
	}
	return first
}
