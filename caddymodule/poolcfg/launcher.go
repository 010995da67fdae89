package poolcfg

import (
	"context"
	"net"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// backtraceDepth is how many calls the slow log shows, as php-fpm's does
// (request_slowlog_trace_depth).
const backtraceDepth = 20

// Activity says where the script is and what its process waits for.
func (p processAdapter) Activity() (pool.Activity, error) {
	frames, err := p.Backtrace(backtraceDepth + 1)
	var e pool.Activity
	for i, f := range frames {
		if i == backtraceDepth {
			e.Backtrace = append(e.Backtrace, "…")
			break
		}
		e.Backtrace = append(e.Backtrace, f.String())
	}
	if wait, err := p.BlockedOn(); err == nil {
		e.BlockedOn = wait.String()
	}
	return e, err
}

// Starter begins generations of this spec.
func (s *Plan) Starter(logger *zap.Logger) pool.Starter {
	return func(ctx context.Context, slots int) (pool.Launcher, error) {
		if err := s.CreateDirs(); err != nil {
			return nil, err
		}
		o := s.Process
		o.Slots = slots
		o.Stderr = func(line string) { logger.Warn("php-cgi", zap.String("stderr", line)) }
		probe := (*fastcgi.Conn).Ping
		if !s.Binary.KeepsConnAfterGetValues() {
			// PHP before 8.2.13 closes the connection after GET_VALUES.
			o.Handshake, probe = requestHandshake, (*fastcgi.Conn).PingRequest
		}
		if s.Spawn == SpawnSingle {
			single, err := phpbin.StartSingle(ctx, o)
			if err != nil {
				return nil, err
			}
			return launcherAdapter[*phpbin.Single]{single, probe}, nil
		}
		shared, err := phpbin.StartShared(ctx, o)
		if err != nil {
			return nil, err
		}
		return launcherAdapter[*phpbin.Shared]{shared, probe}, nil
	}
}

// handshake makes sure that php-cgi serves on a fresh connection.
func handshake(ctx context.Context, conn net.Conn) error { return fastcgi.NewConn(conn).Handshake(ctx) }

// requestHandshake does it by a request for a script that cannot exist.
func requestHandshake(ctx context.Context, conn net.Conn) error {
	return fastcgi.NewConn(conn).PingRequest(ctx)
}

// launcherAdapter is a phpbin launcher as package pool wants it.
type launcherAdapter[L interface {
	Launch(ctx context.Context) (*phpbin.Process, error)
	Slots() int
	Done() <-chan struct{}
	Close(ctx context.Context) error
}] struct {
	l           L
	healthCheck func(*fastcgi.Conn, context.Context) error
}

func (l launcherAdapter[L]) HealthCheck(ctx context.Context, conn *fastcgi.Conn) error {
	return l.healthCheck(conn, ctx)
}

func (l launcherAdapter[L]) Slots() int                      { return l.l.Slots() }
func (l launcherAdapter[L]) Done() <-chan struct{}           { return l.l.Done() }
func (l launcherAdapter[L]) Close(ctx context.Context) error { return l.l.Close(ctx) }

func (l launcherAdapter[L]) Launch(ctx context.Context) (pool.Process, error) {
	p, err := l.l.Launch(ctx)
	if err != nil {
		return nil, err
	}
	return processAdapter{p}, nil
}

// processAdapter is a phpbin process as package pool wants it.
type processAdapter struct{ *phpbin.Process }

func (p processAdapter) Drain(ctx context.Context) (pool.Process, error) {
	next, err := p.Process.Drain(ctx)
	if err != nil {
		return nil, err
	}
	return processAdapter{next}, nil
}
