package opcache

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// How often a worker is asked, at most. What PHP has refused it will refuse
// again, and may write a line in its log each time; another generation has
// other settings, and is asked at once.
const (
	sampleInterval = 10 * time.Second
	retryInterval  = 5 * time.Minute
)

// Scope is who shares an OPcache.
type Scope string

// All workers of a pool, or nobody.
const (
	ScopePool   Scope = "pool"
	ScopeWorker Scope = "worker"
)

// Cache is the OPcache of a pool, or those of its workers. It keeps the last
// sample, and sees to it that workers are asked one at a time and not too often.
type Cache struct {
	pool          *pool.Pool
	logger        *zap.Logger
	scope         func() (Scope, error)
	checkReadable func(path string) error

	mu sync.Mutex
	// sample is the last that was had, tried when a worker was last asked and
	// generation whose it was. refused is why that was in vain.
	sample     *Sample
	lastQuery  time.Time
	generation int
	lastError  string
	// querying is there while a worker is asked, and closed afterwards.
	querying chan struct{}
	closed   bool
}

// New returns the Cache of a pool. scope says whose it is, or why there is none
// yet; missing says what keeps the workers from reading a file, nil if nothing
// does that can be seen.
func New(p *pool.Pool, logger *zap.Logger, scope func() (Scope, error), checkReadable func(path string) error) *Cache {
	return &Cache{pool: p, logger: logger, scope: scope, checkReadable: checkReadable}
}

// dueLocked reports whether a worker of that generation may be asked again.
func (c *Cache) dueLocked(now time.Time, generation int) bool {
	every := sampleInterval
	if c.lastError != "" {
		every = retryInterval
	}
	return c.lastQuery.IsZero() || c.generation != generation || now.Sub(c.lastQuery) >= every
}

// record takes in how a question went.
func (c *Cache) record(a *helperResponse, info pool.QueryInfo, now time.Time, err error) {
	if notQueried(err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastQuery, c.lastError = now, ""
	if info.Generation != 0 {
		c.generation = info.Generation
	}
	if err != nil {
		c.lastError = err.Error()
		return
	}
	c.sample = newSample(a, info, now)
}

// lock waits for the question under way and keeps others from asking.
func (c *Cache) lock(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return pool.ErrClosed
		}
		querying := c.querying
		if querying == nil {
			c.querying = make(chan struct{})
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		select {
		case <-querying:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unlock lets others ask again.
func (c *Cache) unlock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.querying)
	c.querying = nil
}

// Close waits until nothing is left of the question under way, the helper's
// files above all.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	querying := c.querying
	c.mu.Unlock()
	if querying != nil {
		<-querying
	}
}

// Refresh begins to ask a worker if that is due and one is idle. What it
// returns is closed when the question under way is over; nil if there is none.
func (c *Cache) Refresh() <-chan struct{} {
	stats := c.pool.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.querying != nil || c.closed || stats.Workers.Idle == 0 || !c.dueLocked(time.Now(), stats.Generation) {
		return c.querying
	}
	c.querying = make(chan struct{})
	go func() {
		defer c.unlock()
		a, info, err := c.query(statusHelper, callStatus, 0)
		if info.Generation == 0 {
			info.Generation = stats.Generation
		}
		c.record(a, info, time.Now(), err)
	}()
	return c.querying
}

// Shared is the last sample of the OPcache that all workers share; nil if none
// is known. Where each worker has its own there is none: the sample is then of
// one worker or another, and a counter may not jump between them. It does not
// wait: a new sample that is due comes with the next call.
func (c *Cache) Shared() *Sample {
	if scope, err := c.scope(); err != nil || scope != ScopePool {
		return nil
	}
	c.Refresh()
	return c.Describe().Sample
}

// Describe tells of the last sample. One of another generation is of an OPcache
// that is no more.
func (c *Cache) Describe() Description {
	scope, unstarted := c.scope()
	out := Description{Scope: scope}
	stats := c.pool.Stats()
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	since := func(t time.Time) *float64 {
		age := now.Sub(t).Seconds()
		return &age
	}
	if c.dueLocked(now, stats.Generation) && stats.Workers.Idle == 0 {
		out.Reason = pool.ErrBusy.Error()
	}
	current := c.sample != nil && c.sample.Generation == stats.Generation
	tried := c.lastError != "" && c.generation == stats.Generation
	if tried {
		out.Reason = c.lastError
	}
	switch {
	case unstarted != nil:
		out.Reason = unstarted.Error()
	case stats.Workers.Total == stats.Workers.Starting:
		out.Reason = pool.ErrNoWorkers.Error()
	case current:
		out.Available, out.Sample, out.Age = true, c.sample, since(c.sample.At)
	case tried:
		out.Age = since(c.lastQuery)
	case out.Reason == "":
		out.Reason = errNoSample.Error()
	}
	return out
}

// errNoSample: the first sample is under way, or a request came before it.
var errNoSample = errors.New("no worker has been asked yet: ask again")
