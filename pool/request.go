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
	// FastCGI is what is sent.
	FastCGI *fastcgi.Request
	// Info is what logs and statistics show of it.
	Info Info
	// Repeatable says that the request may be sent a second time although a
	// worker may have begun it: its method is safe (RFC 9110 section 9.2.1).
	Repeatable bool

	response Response // what Do returns
}

// Response is a request that PHP has begun to answer. Close it.
type Response struct {
	// HTTP has its body still to be read.
	HTTP *http.Response
	// Worker, PID and Generation tell who answers.
	Worker     uint64
	PID        int
	Generation int
	// Wait is the time in line, TTFB that from the lease to the head.
	Wait, TimeToFirstByte time.Duration
	// Retried says that a first worker was lost on the way.
	Retried bool

	lease    Lease
	timedOut bool      // known when released
	body     io.Closer // the caller may have wrapped Response.Body
}

// Do leases a worker, sends it the request and returns when the head of the
// response is there. A request is repeated at most once, on another worker,
// and only when that can do no harm: nothing of it was sent, or it is
// Repeatable, the worker died before it answered one byte, and the body can be
// sent again. The exchange is part of the request.
func (p *Pool) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := p.checkQuarantine(r.Info.Script); err != nil {
		return nil, err
	}
	resp, err := p.attempt(ctx, r)
	if err == nil || !p.mayRetry(ctx, r, err) {
		return resp, p.countFailed(ctx, err)
	}
	p.mu.Lock()
	p.retried++
	p.mu.Unlock()
	resp, err = p.attempt(ctx, r)
	if err == nil {
		resp.Retried = true
	}
	return resp, p.countFailed(ctx, err)
}

// countFailed counts a request that got no answer, unless its client left.
func (p *Pool) countFailed(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrQueueFull) && !errors.Is(err, ErrClientLimit) {
		if _, ok := errors.AsType[*fastcgi.ParamError](err); ok {
			return err // what the client sent was too long: PHP was not asked
		}
		p.mu.Lock()
		p.failedRequests++
		p.mu.Unlock()
	}
	return err
}

// attempt sends the request to one worker.
func (p *Pool) attempt(ctx context.Context, r *Request) (*Response, error) {
	start := p.clock()
	lease, err := p.Acquire(ctx, r.Info)
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
		// PHP's own page about its time limit: the worker lives.
		resp.Body.Close() // nobody reads it
	}
	died := lease.workerDied(err)
	lease.Release()
	switch {
	case timedOut:
		return nil, ErrRequestTimeout
	case died:
		return nil, &diedError{cause: err}
	}
	return nil, err
}

// deathGrace is how long a process that has closed its connection may take to
// end: php-cgi never does one without the other, and its death shows within 3
// ms (unless a core is dumped, or the machine is very busy).
const deathGrace = time.Second

// workerDied reports whether the worker is lost: its process has ended, or it has
// dropped the connection in a request, and then is made to end.
func (l Lease) workerDied(err error) bool {
	if _, ok := errors.AsType[*fastcgi.BodyError](err); ok {
		return false // not PHP's doing
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

// mayRetry decides whether a request whose worker was lost may be repeated.
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

// diedError is ErrWorkerDied with what was seen on the connection.
type diedError struct{ cause error }

func (e *diedError) Error() string {
	if e.cause == nil || errors.Is(e.cause, ErrWorkerDied) {
		return ErrWorkerDied.Error()
	}
	return ErrWorkerDied.Error() + ": " + e.cause.Error()
}

func (e *diedError) Unwrap() []error { return []error{ErrWorkerDied, e.cause} }

// TimedOut reports whether the request ran out of time after it had begun to
// answer: what came is not whole.
func (x *Response) TimedOut() bool {
	if x.lease == (Lease{}) {
		return x.timedOut
	}
	return x.lease.timedOut()
}

// Release gives the worker back once PHP has ended the request, though bytes of
// the body may still have to be read from memory.
func (x *Response) Release() {
	if x.lease == (Lease{}) {
		return
	}
	x.timedOut = x.lease.timedOut()
	x.lease.Release()
	x.lease = Lease{}
}

// Close gives the worker back. It may be called twice, and after Release.
func (x *Response) Close() {
	x.body.Close() // the connection knows how it ended
	x.Release()
}
