package pool

import (
	"context"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// Starter starts a generation: everything that must run before workers can be
// launched. For shared php-cgi that is the master, which forks slots children.
// slots is the maximum number of workers at the same time. ctx limits the start
// only.
type Starter func(ctx context.Context, slots int) (Launcher, error)

// Launcher launches the workers of one generation. If a method returns an error,
// its other result is a literal nil.
type Launcher interface {
	// Launch starts one worker. On success it is connected and has responded. ctx
	// limits the start only.
	Launch(ctx context.Context) (Process, error)

	// HealthCheck checks that an idle worker responds, with a method that its PHP
	// version supports: before 8.2.13, PHP closes the connection after
	// FCGI_GET_VALUES.
	HealthCheck(ctx context.Context, conn *fastcgi.Conn) error

	// Slots returns the maximum number of workers at the same time; 0 means no
	// limit.
	Slots() int

	// Done returns a channel that is closed when the generation cannot launch
	// workers any more, because its master has exited. Its workers may still run.
	Done() <-chan struct{}

	// WorkersStay reports, once Done is closed, whether the workers can go on
	// serving. If not, the master has signaled them to stop, and each serves one more
	// request at most.
	WorkersStay() bool

	// Close stops all processes and returns when none is left. When ctx is done it
	// kills them. It may be called twice.
	Close(ctx context.Context) error
}

// Process is one worker process with its persistent connection.
type Process interface {
	// Conn returns the connection, ready for the first request. It is called once.
	Conn() *fastcgi.Conn

	// PID returns the process ID, 0 if it is not known yet.
	PID() int

	// Done returns a channel that is closed when the process has exited, or when its
	// worker script has ended. The end of the connection does not prove that it has,
	// nor the other way round: a program that a script started may hold the connection
	// open.
	Done() <-chan struct{}

	// ScriptEnd reports, once Done is closed, whether the worker script has ended
	// and its process has not. text is PHP's fatal error, "" if the script has
	// called exit. In an ordinary pool ended is false.
	ScriptEnd() (text string, ended bool)

	// Stop stops a process that runs no request. When ctx is done it kills it. It
	// may be called twice.
	Stop(ctx context.Context) error

	// Kill kills the process.
	Kill() error

	// ExitStatus describes how the process exited. It is empty if the process runs
	// or the status is unknown.
	ExitStatus() string

	// SoftTimeout stops the running request but not the process, as PHP's own time
	// limit does. It returns errors.ErrUnsupported if that is impossible.
	SoftTimeout() error

	// Drain is called after [fastcgi.Conn.Abandon] has told PHP that the client has
	// disconnected. It waits until a process is ready in this slot: the same one after
	// it has finished the request, or its successor. Until then Kill and SoftTimeout
	// act on the process that still runs.
	Drain(ctx context.Context) (Process, error)

	// LeftGroup reports whether the process has left the process group in which it was
	// started (setsid, setpgid), so that it would outlive this process. It is called,
	// with the mutex held, before the worker becomes idle.
	LeftGroup() bool

	// Memory returns the private memory of the process in bytes, or
	// errors.ErrUnsupported if the system does not report it.
	Memory() (int64, error)

	// CPU returns the CPU time that the process has used, 0 if it is unknown.
	CPU() time.Duration

	// Activity returns what the process does at the moment, without stopping it; the
	// backtrace has depth calls, and "…" if there are more. With an error there is no backtrace; errors.ErrUnsupported means that this generation
	// never has any. It takes about a millisecond.
	Activity(depth int) (Activity, error)
}

// Activity describes what a process does at the moment, for logs.
type Activity struct {
	// Backtrace is the PHP call stack, innermost call first.
	Backtrace []string
	// BlockedOn is the system call that blocks the process, with what it waits for.
	BlockedOn string
}
