package opcache

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/pool"
)

// The minimum time between two queries. An error is likely to repeat and may add a
// line to PHP's log each time, so it is retried less often. A new generation may
// have other settings and is queried at once.
const (
	sampleInterval = 10 * time.Second
	retryInterval  = 5 * time.Minute
)

// Scope says which workers share an OPcache.
type Scope string

// All workers of a pool share one OPcache, or each worker has its own.
const (
	ScopePool   Scope = "pool"
	ScopeWorker Scope = "worker"
)

// Cache is the OPcache of a pool, or of its workers. It keeps the last sample, and
// makes sure that workers are queried one at a time and not too often. Its methods
// may be called concurrently.
type Cache struct {
	pool          *pool.Pool
	logger        *zap.Logger
	scope         func() (Scope, error)
	checkReadable func(path string) error

	mu sync.Mutex
	// sample is the last sample. lastQuery, generation and lastError are the time,
	// the generation and the error of the last query.
	sample     *Sample
	lastQuery  time.Time
	generation int
	lastError  string
	// querying is not nil during a query, and closed after it.
	querying chan struct{}
	closed   bool
}

// New returns the Cache of a pool. scope returns which workers share it, or an error
// while the pool has not started, or if its workers must not be queried. checkReadable returns what seems to keep the
// workers from reading a file, or nil.
func New(p *pool.Pool, logger *zap.Logger, scope func() (Scope, error), checkReadable func(path string) error) *Cache {
	return &Cache{pool: p, logger: logger, scope: scope, checkReadable: checkReadable}
}

// dueLocked reports whether a worker of this generation may be queried.
func (c *Cache) dueLocked(now time.Time, generation int) bool {
	every := sampleInterval
	if c.lastError != "" {
		every = retryInterval
	}
	return c.lastQuery.IsZero() || c.generation != generation || now.Sub(c.lastQuery) >= every
}

// record stores the result of a query.
func (c *Cache) record(resp *helperResponse, info pool.QueryInfo, now time.Time, err error) {
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
	c.sample = newSample(resp, info, now)
}

// lock waits until no query is running, and keeps others from starting one until
// unlock is called.
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

// unlock ends the query that lock or Refresh has started.
func (c *Cache) unlock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.querying)
	c.querying = nil
}

// Close waits for the running query, so that its files are removed, and prevents
// new ones.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	querying := c.querying
	c.mu.Unlock()
	if querying != nil {
		<-querying
	}
}

// Refresh starts a query if one is due and a worker is idle. It returns a channel
// that is closed at the end of the running query, or nil if none is running.
func (c *Cache) Refresh() <-chan struct{} {
	if _, err := c.scope(); err != nil {
		return nil
	}
	stats := c.pool.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.querying != nil || c.closed || stats.Workers.Idle == 0 || !c.dueLocked(time.Now(), stats.Generation) {
		return c.querying
	}
	c.querying = make(chan struct{})
	go func() {
		defer c.unlock()
		resp, info, err := c.query(statusHelper, callStatus, 0)
		if info.Generation == 0 {
			info.Generation = stats.Generation
		}
		c.record(resp, info, time.Now(), err)
	}()
	return c.querying
}

// Shared returns the last sample of the OPcache that all workers share, or nil. It
// is nil if each worker has its own OPcache: samples would be of different workers,
// and a counter must not jump between them. Shared does not block: if a new sample
// is due, a later call returns it.
func (c *Cache) Shared() *Sample {
	if scope, err := c.scope(); err != nil || scope != ScopePool {
		return nil
	}
	c.Refresh()
	return c.Describe().Sample
}

// Describe returns the last sample, unless it is of an earlier generation, whose
// OPcache no longer exists.
func (c *Cache) Describe() Description {
	scope, notStarted := c.scope()
	out := Description{Scope: scope}
	stats := c.pool.Stats()
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	secondsSince := func(t time.Time) *float64 {
		age := now.Sub(t).Seconds()
		return &age
	}
	if c.dueLocked(now, stats.Generation) && stats.Workers.Idle == 0 {
		out.Reason = pool.ErrBusy.Error()
	}
	current := c.sample != nil && c.sample.Generation == stats.Generation
	failed := c.lastError != "" && c.generation == stats.Generation
	if failed {
		out.Reason = c.lastError
	}
	switch {
	case notStarted != nil:
		out.Reason = notStarted.Error()
	case stats.Workers.Total == stats.Workers.Starting:
		out.Reason = pool.ErrNoWorkers.Error()
	case current:
		out.Available, out.Sample, out.Age = true, c.sample, secondsSince(c.sample.At)
	case failed:
		out.Age = secondsSince(c.lastQuery)
	case out.Reason == "":
		out.Reason = errNoSample.Error()
	}
	return out
}

// errNoSample means that the first query is still running, or that a request for a
// reset came before it.
var errNoSample = errors.New("no worker was queried yet: try again")
