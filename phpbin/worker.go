package phpbin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mevdschee/caddy-php-pool/phpbin/internal/phpstack"
)

// Worker is a php-cgi that runs a worker script. Its methods are those of [Process]; the
// script counts as the process.
type Worker struct {
	*Process // not to be signaled when the script has ended: another one may run in it
	owner    *Workers
	child    *spareChild
	back     net.Conn
	log      *WorkerLog

	done chan struct{} // closed when the script has ended, or the process has exited

	mu       sync.Mutex
	stopping bool // the process is not kept
	ended    bool
	messages []string
}

// boot runs a script in c and returns when it is ready.
func (w *Workers) boot(ctx context.Context, c *spareChild) (_ *Worker, err error) {
	w.mu.Lock()
	w.booted++
	number := w.booted
	w.mu.Unlock()
	p := c.process
	c.scripts++
	start := time.Now()
	l, err := newBackListener(w.base.shared(), number)
	if err == nil {
		defer l.close()
	}
	worker := &Worker{Process: p, owner: w, child: c, done: make(chan struct{})}
	if err == nil {
		worker.log, err = newWorkerLog(w.base.shared(), number, p.PID())
	}
	if err != nil {
		w.terminate(p)
		return nil, err
	}
	b := l.connection()
	b.Log = worker.log.path()
	go worker.run(b)

	bootCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(bootCtx, l.interrupt)
	go func() {
		select {
		case <-worker.done:
			cancel()
		case <-bootCtx.Done():
		}
	}()
	if worker.back, err = l.accept(p.PID(), w.opts.Greet); err == nil {
		err = w.opts.Ready(worker.back)
	}
	if err == nil && stop() {
		_ = worker.back.SetDeadline(time.Time{})
		w.mu.Lock()
		w.live[worker] = struct{}{}
		w.mu.Unlock()
		if !worker.scriptEnded() {
			return worker, nil
		}
		w.forget(worker)
	}
	if worker.back != nil {
		_ = worker.back.Close()
	}
	return nil, worker.bootFailed(ctx, start, err)
}

// bootFailed kills a script that was not ready in time, and describes why.
func (x *Worker) bootFailed(ctx context.Context, start time.Time, err error) error {
	// The end of the connection precedes that of the script.
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-x.done:
	case <-ctx.Done():
	case <-grace.C:
	}
	select {
	case <-x.done:
	default:
		if ctx.Err() != nil {
			err = fmt.Errorf("the worker script was not ready within %v: %w", time.Since(start).Round(time.Millisecond), context.Cause(ctx))
		}
		x.mu.Lock()
		x.stopping = true
		x.mu.Unlock()
		_ = x.Kill()
		<-x.done
		return &StartError{Err: err, Stderr: x.log.last(), ExitCode: -1}
	}
	if !x.proc.alive() {
		err = fmt.Errorf("php-cgi exited in the worker script (%s)", x.ExitStatus())
	} else {
		err = fmt.Errorf("the worker script ended before it was ready for a request: it must call frankenphp_handle_request()")
	}
	return &StartError{Err: err, Stderr: x.messages, ExitCode: -1}
}

// run runs the script, and then keeps its process for another one or kills it.
func (x *Worker) run(b BackConnection) {
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		select {
		case <-x.proc.done:
			// A program that the script has started may hold the connection open.
			_ = x.conn.Close()
		case <-x.done:
		}
	}()
	reusable, messages := x.owner.opts.Run(x.conn, b)
	x.log.close()
	x.mu.Lock()
	x.ended = true
	x.messages = append(x.log.last(), messages...)
	keep := reusable && !x.stopping && x.proc.alive()
	x.mu.Unlock()
	x.owner.forget(x)
	if keep {
		x.owner.keep(x.child)
	} else if !reusable {
		_ = x.Process.Kill()
		<-x.proc.done
	}
	close(x.done)
	<-exited
}

// Conn returns the connection that the script has opened.
func (x *Worker) Conn() net.Conn { return x.back }

// Done is closed when the script has ended or the process has exited.
func (x *Worker) Done() <-chan struct{} { return x.done }

func (x *Worker) scriptEnded() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// ScriptEnd reports whether the script has ended although its process lives on. text is
// PHP's fatal error, if that was the reason.
func (x *Worker) ScriptEnd() (text string, ended bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ended || !x.proc.alive() {
		return "", false
	}
	for i, message := range slices.Backward(x.messages) {
		if strings.Contains(strings.ToLower(message), "fatal error") {
			return strings.Join(x.messages[i:], " | "), true
		}
	}
	return "", true
}

// Log is where the messages of the script arrive that PHP does not send over the
// connection.
func (x *Worker) Log() *WorkerLog { return x.log }

// signal calls send unless the script has ended.
func (x *Worker) signal(send func() error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended {
		return os.ErrProcessDone
	}
	return send()
}

// Stop tells a script that is ready for requests to end, and then terminates its process.
// When ctx is done it kills the process. It may be called again.
func (x *Worker) Stop(ctx context.Context) error {
	x.mu.Lock()
	ended := x.ended
	x.stopping = true
	x.mu.Unlock()
	if ended {
		_ = x.back.Close()
		return nil
	}
	if err := x.owner.opts.Stop(x.back); err != nil {
		_ = x.Kill()
	}
	select {
	case <-x.done:
	case <-ctx.Done():
		_ = x.Kill()
		<-x.done
	}
	_ = x.back.Close()
	return x.Process.Stop(ctx)
}

// Kill kills the process and the copies of itself that its script has forked, unless the
// script has ended.
func (x *Worker) Kill() error {
	err := x.signal(x.Process.Kill)
	if err == os.ErrProcessDone { //nolint:errorlint // returned bare
		return nil
	}
	return err
}

// BlockedOn returns what the script waits for: see [Process.BlockedOn].
func (x *Worker) BlockedOn() (Wait, error) {
	w, err := phpstack.BlockedOn(x.PID(), x.back)
	if gone := x.signal(func() error { return x.Process.signal(0) }); errors.Is(gone, os.ErrProcessDone) {
		return Wait{}, gone
	}
	return w, err
}

// SoftTimeout makes PHP end the request, and the script with it, as if
// max_execution_time had expired: see [Process.SoftTimeout]. Call it only while the
// script runs a request.
func (x *Worker) SoftTimeout() error { return x.signal(x.Process.SoftTimeout) }
