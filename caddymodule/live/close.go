package live

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// ForceClose ends the time of requests that still run.
func (l *Pool) ForceClose() {
	l.closeNow()
	l.Pool.Close(l.closeCtx) // Destruct logs what it returns
}

// Destruct ends the pool when no config uses it any more: in the background
// after a reload, when its last request is done; at once when Caddy exits.
func (l *Pool) Destruct() error {
	if !caddy.Exiting() {
		go func() {
			l.waitIdle()
			l.Close()
		}()
		return nil
	}
	time.AfterFunc(l.StopTimeout(), l.closeNow)
	l.Close()
	return nil
}

func (l *Pool) Close() {
	if err := l.Pool.Close(l.closeCtx); err != nil {
		l.logger.Warn("error closing the pool", zap.Error(err))
	}
	l.closeNow()
	l.OPcache.Close()
	RunningPools.remove(l)
}

// idleGrace is how long a pool that no config uses any more waits for requests
// of the old config that have not come as far as its handler.
const idleGrace = time.Second

// waitIdle waits until no request is in the pool, or its time is cut. The old
// config's HTTP server goes on serving what it has begun.
func (l *Pool) waitIdle() {
	l.closing.Store(true)
	timer := time.NewTimer(idleGrace)
	defer timer.Stop()
	for {
		select {
		case <-l.closeCtx.Done():
			return
		case <-l.idle:
			timer.Reset(idleGrace)
		case <-timer.C:
			if l.refs.Load() == 0 {
				return
			}
			timer.Reset(idleGrace)
		}
	}
}
