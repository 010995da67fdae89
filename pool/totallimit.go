package pool

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// TotalLimit limits the workers of several pools together, like process.max of
// php-fpm. The zero value has no limit. It counts processes until they have exited, and
// launches.
//
// A pool that may not launch a worker is queued. Meanwhile other pools give up workers that are above their minimum, see [Size]: idle ones at once, the one that
// has been idle longest first; and released ones, too, if a pool waits that has no
// worker at all or fewer than its minimum. Its turn comes first.
//
// The start of a generation launches at least one worker, whatever the limit: the
// previous generation stops when the next one is ready. So the limit can be exceeded
// for a while, by one worker for each pool that starts a generation.
type TotalLimit struct {
	// pressure says which workers must be given up. Each release reads it.
	pressure atomic.Int32

	// mu guards everything below, and the demand of each pool. It is locked after the
	// mutex of a pool, never before.
	mu      sync.Mutex
	max     int // 0 means no limit
	used    int // processes that have not exited, and launches
	leaving int // of these, processes that are being stopped
	pools   []*Pool
	waiting []*Pool // those with a demand, in the order of their turns
}

// demand is the number of workers that a pool may not launch yet. It is urgent if the
// pool has no worker that can serve, or fewer than its minimum.
type demand struct {
	workers int
	urgent  bool
}

// The values of TotalLimit.pressure.
const (
	noPressure    = iota
	idlePressure  // idle workers above the minimum are stopped
	totalPressure // those that are released, too, even if requests wait for them
)

// SetMax sets the maximum number of workers; 0 means no limit. If there are more, idle
// workers above the minimum of their pool are stopped at once, and busy ones when their
// requests end.
func (l *TotalLimit) SetMax(n int) {
	l.mu.Lock()
	l.max = n
	l.changedLocked()
	l.wakeLocked()
	l.mu.Unlock()
	l.makeRoom()
}

// Usage returns the number of workers of all pools, and the maximum, 0 for no limit.
func (l *TotalLimit) Usage() (workers, maximum int) {
	if l == nil {
		return 0, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used, l.max
}

func (l *TotalLimit) join(p *Pool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pools = append(l.pools, p)
}

func (l *TotalLimit) leave(p *Pool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	isPool := func(other *Pool) bool { return other == p }
	l.pools = slices.DeleteFunc(l.pools, isPool)
	l.waiting = slices.DeleteFunc(l.waiting, isPool)
	l.changedLocked()
	l.wakeLocked()
}

// take counts up to n launches of a pool and returns how many may begin. The rest
// becomes the pool's demand; grown reports that it is more than before.
func (l *TotalLimit) take(p *Pool, n int, urgent bool) (granted int, grown bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	granted = l.grantLocked(p, n, urgent)
	l.used += granted
	return granted, l.setDemandLocked(p, demand{n - granted, urgent}, granted > 0)
}

// takeInitial counts the first launches of a generation, at most n and at least one, of
// which some are counted already.
func (l *TotalLimit) takeInitial(n, counted int) int {
	if l == nil {
		return n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used -= counted
	if l.max > 0 {
		n = max(1, min(n, l.max-l.used))
	}
	l.used += n
	l.changedLocked()
	return n
}

// release ends the counting of n workers that exist no more, or of launches that failed.
func (l *TotalLimit) release(n int) {
	if l == nil || n == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used -= n
	l.changedLocked()
	l.wakeLocked()
}

// moved counts a worker that stops or has exited.
func (l *TotalLimit) moved(from, to State) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if to == Stopping {
		l.leaving++
		l.changedLocked()
		return
	}
	if from == Stopping {
		l.leaving--
	}
	l.used--
	l.changedLocked()
	l.wakeLocked()
}

// grantLocked returns how many of n launches may begin: those that leave one for each
// pool whose turn is earlier.
func (l *TotalLimit) grantLocked(p *Pool, n int, urgent bool) int {
	if l.max == 0 {
		return n
	}
	earlier, found := 0, false
	for _, other := range l.waiting {
		found = found || other == p
		switch {
		case other == p || urgent && !other.demand.urgent:
		case other.demand.urgent && !urgent, !found:
			earlier++
		}
	}
	return max(0, min(n, l.max-l.used-earlier))
}

// setDemandLocked replaces the demand of a pool. A pool that has got some of what it wanted
// waits behind the others for the rest.
func (l *TotalLimit) setDemandLocked(p *Pool, d demand, granted bool) (grown bool) {
	old := p.demand
	if p.demand = d; old == d && !granted {
		return false
	}
	at := slices.Index(l.waiting, p)
	if at >= 0 && (d.workers == 0 || granted) {
		l.waiting = slices.Delete(l.waiting, at, at+1)
		at = -1
	}
	if at < 0 && d.workers > 0 {
		l.waiting = append(l.waiting, p)
	}
	l.changedLocked()
	if d.workers < old.workers || !d.urgent && old.urgent {
		l.wakeLocked() // the turn of another pool may have come
	}
	return d.workers > old.workers || d.workers > 0 && d.urgent && !old.urgent
}

// changedLocked computes the pressure.
func (l *TotalLimit) changedLocked() {
	all, urgent := 0, 0
	for _, p := range l.waiting {
		all += p.demand.workers
		if p.demand.urgent {
			urgent += p.demand.workers
		}
	}
	excess := l.used - l.leaving - l.max
	switch {
	case l.max == 0 || excess+all <= 0:
		l.pressure.Store(noPressure)
	case excess+urgent <= 0:
		l.pressure.Store(idlePressure)
	default:
		l.pressure.Store(totalPressure)
	}
}

// wakeLocked lets the pools that wait try again.
func (l *TotalLimit) wakeLocked() {
	for _, p := range l.waiting {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// makeRoom stops idle workers while there is pressure, those first that have been idle
// longest. The caller holds no mutex.
func (l *TotalLimit) makeRoom() {
	for l.pressure.Load() != noPressure {
		l.mu.Lock()
		pools := slices.Clone(l.pools)
		l.mu.Unlock()
		var longest *Pool
		var idle time.Duration
		for _, p := range pools {
			if d, ok := p.longestIdle(); ok && d >= idle {
				longest, idle = p, d
			}
		}
		if longest == nil {
			return
		}
		longest.giveUpIdle()
	}
}

// longestIdle returns how long a worker has been idle that the pool can give up.
func (p *Pool) longestIdle() (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.canGiveUpIdleLocked() {
		return 0, false
	}
	return p.clock() - p.idle[0].idleSince, true
}

// giveUpIdle stops the worker of longestIdle, if it is still there.
func (p *Pool) giveUpIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.canGiveUpIdleLocked() {
		p.stopLocked(p.idle[0], Closed)
	}
}

func (p *Pool) canGiveUpIdleLocked() bool {
	return len(p.idle) > 0 && !p.closed && p.hasExtraLocked()
}

// hasExtraLocked reports whether the pool has more workers than its minimum, without
// those that stop when their request ends.
func (p *Pool) hasExtraLocked() bool {
	return p.countsLocked().total()-p.retiringLocked() > p.settings.Minimum()
}

// mustGiveUpLocked reports whether a worker that is released must stop, because of the
// TotalLimit.
func (p *Pool) mustGiveUpLocked() bool {
	if p.total == nil {
		return false
	}
	switch p.total.pressure.Load() {
	case noPressure:
		return false
	case idlePressure:
		return p.queue.len == 0 && p.hasExtraLocked()
	}
	return p.hasExtraLocked()
}

// takeLocked returns how many of n launches may begin, and counts them.
func (p *Pool) takeLocked(n int) int {
	if p.total == nil || n == 0 && !p.limited {
		return n
	}
	granted, grown := p.total.take(p, n, p.isUrgentLocked())
	p.limited = granted < n
	if grown {
		p.goLocked(p.total.makeRoom)
	}
	if p.limited {
		p.logLimitedLocked()
	}
	return granted
}

// mayStartLocked reports whether a generation may be started, for which there is no
// other reason than a request, and counts its first launch.
func (p *Pool) mayStartLocked() bool {
	if p.total == nil || p.startPending {
		return true
	}
	p.countedStarts += p.takeLocked(1)
	return p.countedStarts > 0
}

// limitLogInterval is the minimum time between two log records about the limit.
const limitLogInterval = time.Minute

// logLimitedLocked logs that requests wait because of the TotalLimit.
func (p *Pool) logLimitedLocked() {
	now := p.clock()
	if p.queue.len == 0 || p.limitLogged > 0 && now-p.limitLogged < limitLogInterval {
		return
	}
	p.limitLogged = max(now, 1)
	_, maximum := p.total.Usage()
	p.logLocked(p.log.Warn, "requests wait because all pools together have reached max_workers_total", zap.Int("max_workers_total", maximum))
}

// isUrgentLocked reports whether the pool has no worker that can serve, or fewer than
// its minimum.
func (p *Pool) isUrgentLocked() bool {
	c := p.countsLocked()
	serving := c.idle + c.busy + c.starting
	for _, w := range p.workers {
		if w.state == Busy && w.retireReason != NoReason {
			serving--
		}
	}
	return serving <= 0 || c.total() < p.settings.Minimum()
}
