package pool

import (
	"errors"
	"time"
)

// Ready says why a request that came now could not be served; nil means that it
// could, if only after waiting for its turn. A pool without workers is ready as
// long as nothing speaks against their launch.
func (p *Pool) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.countsLocked()
	switch {
	case p.closed:
		return ErrClosed
	case !p.opened:
		return errStarting
	case c.total() > c.starting:
		return nil
	}
	// The launch that is under way after one that failed is no proof yet.
	wait := p.failures.wait(time.Now())
	if wait == 0 && (p.failures.count == 0 || p.starting == 0 && !p.startPending) {
		return nil
	}
	return &LaunchError{Err: p.failures.cause(), RetryIn: wait}
}

// errStarting is for those that do not wait in line.
var errStarting = errors.New("the pool is starting")

// cause is why no worker can be had; there is none in err when they launch and
// then die.
func (f *failures) cause() error {
	if f.err != nil {
		return f.err
	}
	return errors.New("workers die as soon as they are launched")
}
