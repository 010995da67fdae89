package caddymodule

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// How often a worker is asked, at most. What PHP has refused it will refuse
// again, and may write a line in its log each time; another generation has
// other settings, and is asked at once.
const (
	opcacheEvery = 10 * time.Second
	refusedEvery = 5 * time.Minute
)

// opcacheSampler keeps the last sample of a pool, and sees to it that workers
// are asked one at a time and not too often.
type opcacheSampler struct {
	mu sync.Mutex
	// sample is the last that was had, tried when a worker was last asked and
	// generation whose it was. refused is why that was in vain.
	sample     *opcacheSample
	tried      time.Time
	generation int
	refused    string
	// asking is there while a worker is asked, and closed afterwards.
	asking chan struct{}
	closed bool
}

// dueLocked reports whether a worker of that generation may be asked again.
func (s *opcacheSampler) dueLocked(now time.Time, generation int) bool {
	every := opcacheEvery
	if s.refused != "" {
		every = refusedEvery
	}
	return s.tried.IsZero() || s.generation != generation || now.Sub(s.tried) >= every
}

// keep takes in how a question went.
func (s *opcacheSampler) keep(a *opcacheAnswer, asked pool.Asked, now time.Time, err error) {
	if neverAsked(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.refused = now, ""
	if asked.Generation != 0 {
		s.generation = asked.Generation
	}
	if err != nil {
		s.refused = err.Error()
		return
	}
	s.sample = newOPcacheSample(a, asked, now)
}

// seize waits for the question under way and keeps others from asking.
func (s *opcacheSampler) seize(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return pool.ErrClosed
		}
		asking := s.asking
		if asking == nil {
			s.asking = make(chan struct{})
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// release lets others ask again.
func (s *opcacheSampler) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.asking)
	s.asking = nil
}

// close waits until nothing is left of the question under way, the helper's
// files above all.
func (s *opcacheSampler) close() {
	s.mu.Lock()
	s.closed = true
	asking := s.asking
	s.mu.Unlock()
	if asking != nil {
		<-asking
	}
}

// refreshOPcache begins to ask a worker if that is due and one is idle. What
// it returns is closed when the question under way is over; nil if there is
// none.
func (l *livePool) refreshOPcache() <-chan struct{} {
	stats := l.pool.Stats()
	s := &l.opcache
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking != nil || s.closed || stats.Workers.Idle == 0 || !s.dueLocked(time.Now(), stats.Generation) {
		return s.asking
	}
	s.asking = make(chan struct{})
	go func() {
		defer s.release()
		answer, asked, err := l.askOPcache(statusHelper, callStatus, 0)
		if asked.Generation == 0 {
			asked.Generation = stats.Generation
		}
		s.keep(answer, asked, time.Now(), err)
	}()
	return s.asking
}

// opcacheSample is the last sample of what runs now, if there is one. It does
// not wait: a new one that is due comes with the next call.
func (l *livePool) opcacheSample() (opcacheSample, bool) {
	l.refreshOPcache()
	out := l.describeOPcache()
	if !out.Available {
		return opcacheSample{}, false
	}
	return *out.opcacheSample, true
}

// What an OPcache is shared by.
const (
	scopePool   = "pool"
	scopeWorker = "worker"
)

// opcacheScope is empty while the pool has not started.
func (l *livePool) opcacheScope() string {
	current, _ := l.inForce()
	switch {
	case current == nil:
		return ""
	case current.spawn == spawnSingle && !singlesShareOPcache:
		return scopeWorker
	}
	return scopePool
}

// describeOPcache tells of the last sample. One of another generation is of an
// OPcache that is no more.
func (l *livePool) describeOPcache() opcacheJSON {
	out := opcacheJSON{Scope: l.opcacheScope()}
	stats := l.pool.Stats()
	now := time.Now()
	s := &l.opcache
	s.mu.Lock()
	defer s.mu.Unlock()
	since := func(t time.Time) *float64 {
		age := now.Sub(t).Seconds()
		return &age
	}
	if s.dueLocked(now, stats.Generation) && stats.Workers.Idle == 0 {
		out.Reason = pool.ErrBusy.Error()
	}
	current := s.sample != nil && s.sample.Generation == stats.Generation
	tried := s.refused != "" && s.generation == stats.Generation
	if tried {
		out.Reason = s.refused
	}
	switch {
	case out.Scope == "":
		out.Reason = errNotStarted.Error()
	case stats.Workers.Total == stats.Workers.Starting:
		out.Reason = pool.ErrAtRest.Error()
	case current:
		out.Available, out.opcacheSample, out.Age = true, s.sample, since(s.sample.at)
	case tried:
		out.Age = since(s.tried)
	case out.Reason == "":
		out.Reason = errNotYet.Error()
	}
	return out
}

// errNotYet: the first sample is under way, or a request came before it.
var errNotYet = errors.New("no worker has been asked yet: ask again")
