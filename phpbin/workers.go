package phpbin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// WorkerOptions configures [Workers]: how a worker script is run, which this package
// leaves to the caller, because it speaks no FastCGI. The functions are called from any
// goroutine.
type WorkerOptions struct {
	// Run sends a request over conn that runs the worker script, with b in its
	// parameters, and returns when it has ended. reusable reports whether conn can carry
	// another request. messages are lines that PHP has written to its error log.
	Run func(conn net.Conn, b BackConnection) (reusable bool, messages []string)

	// Greet reads the nonce, which the script sends first over its connection to us as
	// soon as it has connected. It returns an error if the script sends anything else.
	Greet func(conn net.Conn, nonce string) error

	// Ready waits until the script is ready for its first request, and leaves no byte
	// unread. When time is up, reads fail.
	Ready func(conn net.Conn) error

	// Stop tells the script, which is ready for requests, to end.
	Stop func(conn net.Conn) error
}

// BackConnection says how a worker script connects to us.
type BackConnection struct {
	// Address is that of the socket, in the form of PHP's stream_socket_client.
	Address string
	// Nonce must be sent by the script first.
	Nonce string
	// Log is the file for PHP's error log; empty if this system cannot have one.
	Log string
}

// Workers runs a worker script in each php-cgi of another launcher: a script that stays
// in memory and serves many requests. It is the main script of one request that does not
// end, and opens a connection to us, over which it gets the others. When the script
// ends, its php-cgi is kept for the next one.
type Workers struct {
	base baseLauncher
	opts WorkerOptions

	closing chan struct{} // closed by Close

	mu       sync.Mutex
	closed   bool
	launches sync.WaitGroup       // added to only with mu held and closed false
	live     map[*Worker]struct{} // whose script has been ready and has not ended
	free     []*spareChild
	booted   int // scripts that were started, to number their files
}

// baseLauncher is Shared or Single.
type baseLauncher interface {
	Launch(ctx context.Context) (*Process, error)
	Slots() int
	Done() <-chan struct{}
	WorkersStay() bool
	Close(ctx context.Context) error
	shared() *group
}

// spareChild is a php-cgi whose worker script has ended.
type spareChild struct {
	process *Process
	scripts int // how many it has run
	expire  *time.Timer
}

const (
	// spareTime is how long a php-cgi whose script has ended waits for another one.
	spareTime = 5 * time.Second

	// maxScripts is how many scripts a php-cgi runs before it is replaced, because
	// extensions may lose memory with each.
	maxScripts = 50

	// greetTimeout limits how long a process that has connected may take to show that it
	// is the worker script.
	greetTimeout = time.Second
)

// NewWorkers returns a launcher that runs worker scripts in the php-cgi of base, which is
// a [*Shared] or a [*Single] with a Prelude, and which it closes. The Prelude must define
// what the script calls, and connect to us.
func NewWorkers(base interface{ Slots() int }, o WorkerOptions) (*Workers, error) {
	l, ok := base.(baseLauncher)
	if !ok {
		return nil, fmt.Errorf("a %T cannot run worker scripts", base)
	}
	if l.shared().prelude == "" {
		return nil, errors.New("worker scripts need Options.Prelude")
	}
	return &Workers{base: l, opts: o, closing: make(chan struct{}), live: map[*Worker]struct{}{}}, nil
}

// Launch starts the worker script and returns when it is ready for its first request.
// ctx limits the start only. If the script ends before that, the error is a
// [*StartError] with what PHP has logged.
func (w *Workers) Launch(ctx context.Context) (*Worker, error) {
	ctx, done, err := w.beginLaunch(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	for {
		c, err := w.child(ctx)
		if err != nil {
			return nil, err
		}
		fresh := c.scripts == 0
		worker, err := w.boot(ctx, c)
		if err == nil || fresh || c.process.proc.alive() {
			return worker, err
		}
		// It has exited since its last script ended.
	}
}

// beginLaunch returns a context that ends with ctx, or by Close (ErrClosed). The returned
// function must be called.
func (w *Workers) beginLaunch(ctx context.Context) (context.Context, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, nil, ErrClosed
	}
	w.launches.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-w.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		w.launches.Done()
	}, nil
}

// child returns a php-cgi that runs no script.
func (w *Workers) child(ctx context.Context) (*spareChild, error) {
	for {
		w.mu.Lock()
		var c *spareChild
		if n := len(w.free) - 1; n >= 0 {
			c = w.free[n]
			w.free = w.free[:n]
		}
		w.mu.Unlock()
		if c == nil {
			p, err := w.base.Launch(ctx)
			if err != nil {
				return nil, err
			}
			return &spareChild{process: p}, nil
		}
		if c.expire.Stop() && c.process.proc.alive() {
			return c, nil
		}
		w.terminate(c.process)
	}
}

// keep keeps a php-cgi for the next script.
func (w *Workers) keep(c *spareChild) {
	w.mu.Lock()
	if c.scripts < maxScripts && !w.closed {
		w.free = append(w.free, c)
		c.expire = time.AfterFunc(spareTime, func() { w.expired(c) })
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	w.terminate(c.process)
}

func (w *Workers) expired(c *spareChild) {
	w.mu.Lock()
	for i, other := range w.free {
		if other == c {
			w.free = append(w.free[:i:i], w.free[i+1:]...)
			break
		}
	}
	w.mu.Unlock()
	w.terminate(c.process)
}

// forget is called when the script of a worker has ended.
func (w *Workers) forget(x *Worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.live, x)
}

// terminate stops a php-cgi that runs no script.
func (w *Workers) terminate(p *Process) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	_ = p.Stop(ctx) // it is killed if need be
}

// Slots returns the maximum number of workers; 0 is no limit.
func (w *Workers) Slots() int { return w.base.Slots() }

// Done is that of the launcher below.
func (w *Workers) Done() <-chan struct{} { return w.base.Done() }

// WorkersStay is that of the launcher below. A script that runs is not ended by TERM.
func (w *Workers) WorkersStay() bool { return w.base.WorkersStay() }

// Close gives up the launches in progress, tells every script to end, waits for that until
// ctx ends, and closes the launcher below. It may be called again.
func (w *Workers) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
	w.launches.Wait()
	w.mu.Lock()
	live := make([]*Worker, 0, len(w.live))
	for worker := range w.live {
		live = append(live, worker)
	}
	free := w.free
	w.free = nil
	w.mu.Unlock()
	for _, c := range free {
		c.expire.Stop()
	}
	var stopped sync.WaitGroup
	for _, worker := range live {
		stopped.Go(func() { _ = worker.Stop(ctx) })
	}
	stopped.Wait()
	return w.base.Close(ctx)
}
