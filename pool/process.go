package pool

import (
	"context"
	"net"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// Starter begins a generation: it starts whatever has to stand before workers
// can be launched (for shared php-cgi the master, which forks slots children).
// slots is the most workers that the generation will be asked for at a time.
// ctx bounds the start only.
type Starter func(ctx context.Context, slots int) (Launcher, error)

// Launcher makes the workers of one generation. On error its methods return a
// literal nil.
type Launcher interface {
	// Launch brings up one more worker. It returns one that is connected and
	// has answered, or none at all; ctx bounds the start only.
	Launch(ctx context.Context) (Process, error)

	// HealthCheck asks an idle worker of this generation whether it lives, in the way
	// that it can stand: an old PHP closes the connection after GET_VALUES.
	HealthCheck(ctx context.Context, conn *fastcgi.Conn) error

	// Slots is how many workers this generation can have at a time; 0 means
	// that there is no bound.
	Slots() int

	// Done is closed when the generation can launch nothing any more (its
	// master has ended). Workers launched before may go on.
	Done() <-chan struct{}

	// Close ends every process that is left; when ctx ends it kills. It
	// returns when none is left, and may be called twice.
	Close(ctx context.Context) error
}

// Process is one worker as the operating system has it: a process with its one
// persistent connection.
type Process interface {
	// Conn is the connection, ready for its first request.
	Conn() net.Conn

	// PID is 0 while unknown.
	PID() int

	// Done is closed when the process has ended. The end of the connection is
	// no such proof: a program that a script started may hold it open.
	Done() <-chan struct{}

	// Stop ends a process that runs no request; when ctx ends it kills. It may
	// be called twice.
	Stop(ctx context.Context) error

	// Kill ends the process at once, whatever it does.
	Kill() error

	// ExitStatus says how the process has ended; empty while it runs, or if unknown.
	ExitStatus() string

	// SoftTimeout ends the running request, not the process, as PHP's own time
	// limit would. errors.ErrUnsupported where that is impossible.
	SoftTimeout() error

	// Drain gives up the connection, so that PHP learns that the client has
	// left, and waits until a process stands ready in this slot again: the
	// same one when its script has ended, or its successor. Until then Kill
	// and SoftTimeout act on the process that still runs.
	Drain(ctx context.Context) (Process, error)

	// MaxMemory is what the process has for itself, in bytes.
	// errors.ErrUnsupported where the system does not tell.
	Memory() (int64, error)

	// CPU is the processor time the process has used so far; 0 if unknown.
	CPU() time.Duration

	// Activity says what the process does at this moment, without stopping it.
	// With an error there is no backtrace: with errors.ErrUnsupported there
	// never is one in this generation, and why. It may take a millisecond.
	Activity() (Activity, error)
}

// Activity is what a process does at a moment, in words for a log.
type Activity struct {
	// Backtrace are the calls that the script is in, the innermost first.
	Backtrace []string
	// BlockedOn is the system call that the process waits in, and for whom.
	BlockedOn string
}
