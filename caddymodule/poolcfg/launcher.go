package poolcfg

import (
	"context"

	"go.uber.org/zap"

	"github.com/mevdschee/caddy-php-pool/caddymodule/worker"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/phpbin"
	"github.com/mevdschee/caddy-php-pool/pool"
)

// Activity returns the backtrace of the script and what its process is blocked on.
func (p processAdapter) Activity(depth int) (pool.Activity, error) {
	frames, err := p.Backtrace(depth + 1)
	return worker.NewActivity(frames, depth, p.BlockedOn), err
}

// Starter returns the function that starts a generation of the plan. It creates the
// private directories first, and logs what the processes, and the programs of their
// scripts, write to stdout and stderr. onReset is called, from any goroutine, when a
// worker script has called opcache_reset(); it must not block.
func (p *Plan) Starter(logger *zap.Logger, onReset func()) pool.Starter {
	return func(ctx context.Context, slots int) (pool.Launcher, error) {
		if err := p.CreateDirs(); err != nil {
			return nil, err
		}
		o := p.Process
		o.Slots = slots
		o.KillIdle = p.Worker == nil // a worker script may have something to do at its end
		o.Output = func(out phpbin.Output) { logOutput(logger, out) }
		o.Notice = func(message string, err error) { logger.Error(message, zap.Error(err)) }
		keepsConn := p.Binary.KeepsConnAfterGetValues()
		o.Handshake = fastcgi.HandshakeFunc(keepsConn)
		healthCheck := (*fastcgi.Conn).Ping
		if !keepsConn {
			healthCheck = (*fastcgi.Conn).PingRequest
		}
		if p.Spawn == SpawnSingle {
			single, err := phpbin.StartSingle(ctx, o)
			if err != nil {
				return nil, err
			}
			if p.Worker != nil {
				return p.startWorkers(single, onReset)
			}
			return launcherAdapter[*phpbin.Single]{single, healthCheck}, nil
		}
		shared, err := phpbin.StartShared(ctx, o)
		if err != nil {
			return nil, err
		}
		if p.Worker != nil {
			return p.startWorkers(shared, onReset)
		}
		return launcherAdapter[*phpbin.Shared]{shared, healthCheck}, nil
	}
}

// logOutput logs an entry as a warning, whichever of the two it was written to, as
// php-fpm does with catch_workers_output.
func logOutput(logger *zap.Logger, out phpbin.Output) {
	name := "stderr"
	if out.Stdout {
		name = "stdout"
	}
	fields := []zap.Field{zap.String(name, out.Text)}
	if out.PID != 0 {
		fields = append(fields, zap.Int("pid", out.PID))
	}
	logger.Warn("php-cgi", fields...)
}

// launcherAdapter makes a launcher of phpbin a [pool.Launcher].
type launcherAdapter[L interface {
	Launch(ctx context.Context) (*phpbin.Process, error)
	Slots() int
	Done() <-chan struct{}
	WorkersStay() bool
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
func (l launcherAdapter[L]) WorkersStay() bool               { return l.l.WorkersStay() }
func (l launcherAdapter[L]) Close(ctx context.Context) error { return l.l.Close(ctx) }

func (l launcherAdapter[L]) Launch(ctx context.Context) (pool.Process, error) {
	p, err := l.l.Launch(ctx)
	if err != nil {
		return nil, err
	}
	return processAdapter{p}, nil
}

// processAdapter makes a process of phpbin a [pool.Process].
type processAdapter struct{ *phpbin.Process }

func (processAdapter) ScriptEnd() (text string, ended bool) { return "", false }

func (p processAdapter) Conn() *fastcgi.Conn { return fastcgi.NewConn(p.Process.Conn()) }

func (p processAdapter) Drain(ctx context.Context) (pool.Process, error) {
	next, err := p.Process.Drain(ctx)
	if err != nil {
		return nil, err
	}
	return processAdapter{next}, nil
}
