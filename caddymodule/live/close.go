package live

import (
	"time"

	"go.uber.org/zap"
)

// ForceClose closes the pool without waiting for running requests.
func (p *Pool) ForceClose() {
	p.closeNow()
	p.Pool.Close(p.closeCtx) // Destruct logs the error
}

// Destruct closes the pool when no config uses it any more. It returns at once
// and waits for running requests in the background, unless Caddy exits: then it
// waits for them itself, for StopTimeout at most. It returns no error.
func (p *Pool) Destruct() error {
	if !Exiting() {
		go func() {
			p.waitIdle()
			p.Close()
		}()
		return nil
	}
	time.AfterFunc(p.StopTimeout(), p.closeNow)
	p.Close()
	return nil
}

// Close closes the pool when its running requests have ended, and logs errors.
func (p *Pool) Close() {
	if err := p.Pool.Close(p.closeCtx); err != nil {
		p.logger.Warn("error closing the pool", zap.Error(err))
	}
	p.closeNow()
	p.OPcache.Close()
	RunningPools.remove(p)
}

// idleGrace is how long a pool that no config uses any more stays open without a
// request: requests of the old config may not have reached its handler yet.
const idleGrace = time.Second

// waitIdle waits until no request is in the pool's handlers, or until ForceClose.
// The HTTP server of a stopped config still completes the requests that it has
// accepted.
func (p *Pool) waitIdle() {
	p.closing.Store(true)
	timer := time.NewTimer(idleGrace)
	defer timer.Stop()
	for {
		select {
		case <-p.closeCtx.Done():
			return
		case <-p.idle:
			timer.Reset(idleGrace)
		case <-timer.C:
			if p.InUse() == 0 {
				return
			}
			timer.Reset(idleGrace)
		}
	}
}
