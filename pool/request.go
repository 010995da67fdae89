package pool

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

// Request is one request for the pool.
type Request struct {
	// FastCGI is the request to send.
	FastCGI *fastcgi.Request
	// Info describes it in logs and statistics.
	Info Info
	// Repeatable means that the request may be sent a second time even if a worker has
	// started to run it: its method is safe (RFC 9110 section 9.2.1).
	Repeatable bool

	response Response // Do returns a pointer to it, which saves an allocation
}

// Response is the response of PHP, whose body may still be incomplete. Call Close.
type Response struct {
	// HTTP is the response header and the body.
	HTTP *http.Response
	// Worker, PID and Generation identify the worker that sends the response.
	Worker     uint64
	PID        int
	Generation int
	// Wait is the time in the queue, TimeToFirstByte the time from the lease to the
	// response header.
	Wait, TimeToFirstByte time.Duration
	// Retried means that a first worker exited before it responded.
	Retried bool

	lease    Lease
	timedOut bool      // TimedOut at the time of Release
	body     io.Closer // HTTP.Body as received; the caller may have wrapped it
}

// Do leases a worker, sends it the request and returns when the response header
// has arrived. A request is sent at most twice, to two workers, and the second
// time only if that is safe: nothing of it was sent, or it is Repeatable, the
// worker exited before it sent a byte of the response, and the body can be read
// again. The Response is part of r: do not reuse r before it is closed.
//
// The error is one of those of [Pool.Acquire], [ErrQuarantined],
// [ErrRequestTimeout], [ErrWorkerDied], or an error of package fastcgi.
func (p *Pool) Do(ctx context.Context, r *Request) (*Response, error) {
	r.Info.crashed = false
	if err := p.checkQuarantine(&r.Info); err != nil {
		return nil, err
	}
	resp, err := p.attempt(ctx, r, false)
	if err == nil || !p.mayRetry(ctx, r, err) {
		return resp, p.countFailed(ctx, r, err)
	}
	p.mu.Lock()
	p.retried++
	p.mu.Unlock()
	r.Info.crashed = !errors.Is(err, fastcgi.ErrNotSent)
	resp, err = p.attempt(ctx, r, true)
	if err == nil {
		resp.Retried = true
	}
	return resp, p.countFailed(ctx, r, err)
}

// countFailed counts a request that got no response, unless it was rejected or its
// client disconnected. It returns err.
func (p *Pool) countFailed(ctx context.Context, r *Request, err error) error {
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrQueueFull) && !errors.Is(err, ErrClientLimit) {
		if _, ok := errors.AsType[*fastcgi.ParamError](err); ok {
			return err // the client's fault (a value is too long), nothing was sent to PHP
		}
		if _, ok := errors.AsType[*fastcgi.BodyError](err); ok && r.FastCGI.StreamBody {
			return err // the client's fault: its body did not arrive
		}
		p.mu.Lock()
		p.failedRequests++
		p.mu.Unlock()
	}
	return err
}

// attempt sends the request to one worker.
func (p *Pool) attempt(ctx context.Context, r *Request, second bool) (*Response, error) {
	start := p.clock()
	lease, err := p.Acquire(ctx, r.Info)
	// What has killed the first worker may have killed others too, which have not exited
	// yet on a busy machine.
	for second && err == nil && !lease.responds(ctx) {
		lease.discard(lease.w.exitReason())
		lease, err = p.Acquire(ctx, r.Info)
	}
	if err != nil {
		return nil, err
	}
	leased := lease.w.lease.since
	lease.startTimer()
	resp, err := lease.w.conn.RoundTrip(ctx, r.FastCGI)
	if err == nil && !lease.timedOut() {
		ttfb := p.clock() - leased
		lease.w.lease.firstByte = ttfb
		r.response = Response{
			HTTP: resp, Worker: lease.w.id, PID: lease.w.proc.PID(),
			Generation: lease.w.gen.number, Wait: leased - start,
			TimeToFirstByte: ttfb, lease: lease, body: resp.Body,
		}
		return &r.response, nil
	}
	timedOut := lease.timedOut()
	if err == nil {
		// The response is PHP's error page for the timeout: the worker can be reused.
		resp.Body.Close() // not read
	}
	died, status := lease.workerDied(err), lease.w.proc.ExitStatus()
	text, ended := lease.w.proc.ScriptEnd()
	if died && errors.Is(err, fastcgi.ErrNotSent) {
		lease.discard(lease.w.exitReason()) // the request had no part in it
	} else {
		lease.Release()
	}
	switch {
	case timedOut:
		return nil, ErrRequestTimeout
	case died && ended && !errors.Is(err, fastcgi.ErrNotSent):
		return nil, &ScriptError{text}
	case died:
		return nil, &diedError{err, status}
	}
	return nil, err
}

// responds reports whether the worker responds to a health check.
func (l Lease) responds(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, healthCheckTimeout)
	defer cancel()
	return l.w.gen.launcher.HealthCheck(ctx, l.w.conn) == nil
}

// deathGrace limits how long a process may take to exit after it has closed its
// connection. php-cgi always exits then, normally within 3 ms; a core dump or a
// busy machine delays that.
const deathGrace = time.Second

// workerDied reports whether the worker has exited, or closed the connection
// during the request. In the latter case it waits for the exit and otherwise
// marks the worker to be killed.
func (l Lease) workerDied(err error) bool {
	if _, ok := errors.AsType[*fastcgi.BodyError](err); ok {
		return false // the request body could not be read: not PHP's fault
	}
	if errors.Is(err, ErrWorkerDied) || l.w.exited() {
		return true
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	timer := time.NewTimer(deathGrace)
	defer timer.Stop()
	select {
	case <-l.w.proc.Done():
	case <-timer.C:
		l.pool.mu.Lock()
		l.w.killReason = cmp.Or(l.w.killReason, Crashed)
		l.pool.mu.Unlock()
	}
	return true
}

// mayRetry reports whether the request may be sent to another worker after err.
func (p *Pool) mayRetry(ctx context.Context, r *Request, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	notSent := errors.Is(err, fastcgi.ErrNotSent)
	unanswered := errors.Is(err, ErrWorkerDied) && !fastcgi.ResponseStarted(err)
	if !notSent && (!r.Repeatable || !unanswered) {
		return false
	}
	return r.FastCGI.Rewind() == nil
}

// diedError is ErrWorkerDied together with the error of the connection. status is
// how the process exited, if that is known.
type diedError struct {
	cause  error
	status string
}

func (e *diedError) Error() string {
	text := ErrWorkerDied.Error()
	if e.status != "" {
		text += " (" + e.status + ")"
	}
	if e.cause == nil || errors.Is(e.cause, ErrWorkerDied) {
		return text
	}
	return text + ": " + e.cause.Error()
}

func (e *diedError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrWorkerDied}
	}
	return []error{ErrWorkerDied, e.cause}
}

// TimedOut reports whether the request exceeded its timeout after PHP had started
// to respond. The body is incomplete then.
func (x *Response) TimedOut() bool {
	if x.lease == (Lease{}) {
		return x.timedOut
	}
	return x.lease.timedOut()
}

// Finish is called when the response is complete, but its script still runs (see
// fastcgi.Body.Running): from now on RequestTimeout and SlowRequest do not count, as
// in php-fpm with its default request_terminate_timeout_track_finished. A request that
// has exceeded its timeout before that is stopped nevertheless: it may have been
// completed by a shutdown function. The worker stays busy until Close, which waits for
// the script.
func (x *Response) Finish() {
	l := x.lease
	if l.pool == nil {
		return
	}
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.w.leaseID != l.id || l.w.state != Busy {
		return
	}
	l.w.lease.finishing = true
	if t := l.w.lease.timer; t != nil && !t.expired {
		l.pool.stopTimerLocked(l.w)
		l.w.lease.timer = nil
	}
}

// Release returns the worker to the pool. Call it when PHP has completed the
// response, even if the rest of the body is still to be read from memory.
func (x *Response) Release() {
	if x.lease == (Lease{}) {
		return
	}
	x.timedOut = x.lease.timedOut()
	x.lease.Release()
	x.lease = Lease{}
}

// Close closes the body and returns the worker to the pool. It may be called
// twice, and after Release.
func (x *Response) Close() {
	x.body.Close() // Release checks the state of the connection
	x.Release()
}
