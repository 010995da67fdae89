package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// maxReadAfterStop is how much is still read after a stop, so that a process that
// goes on writing cannot keep a request that was given up. It is more than
// sockets hold.
const maxReadAfterStop = 8 << 20

// state is what a connection can be used for.
type state uint32

const (
	idle     state = iota // the next request can be sent
	busy                  // a request is under way
	unusable              // a request has not ended as it should: only to be closed
)

// Conn is one connection to a responder. It runs one request at a time.
//
// Interrupt, Close, Reusable and Broken may be called from any goroutine. All
// other methods, and those of the response's body, are one goroutine's at a time.
type Conn struct {
	nc       net.Conn
	raw      rawConn
	canceler canceler

	state   atomic.Uint32
	broken  atomic.Bool
	aborted atomic.Bool // broken by whoever gave the request up
	// strayResponse: the copy of a script that has forked has answered to an earlier
	// request.
	strayResponse atomic.Bool

	id            uint16       // of the request, from 1
	sent          atomic.Int64 // bytes of the request handed to the system
	readAfterStop int          // bytes read since a stop
}

// NewConn returns a Conn over nc, which it then owns. If nc is a socket of
// package net (a syscall.Conn), the Conn can tell whether bytes have arrived
// without waiting for them.
func NewConn(nc net.Conn) *Conn {
	c := &Conn{nc: nc}
	c.canceler.nc = nc
	c.raw.init(nc)
	return c
}

// Reusable reports whether the next request can be sent: the last one has
// ended and was sent wholly, and nothing is left over. It is true as soon as
// END_REQUEST has been seen, even while the response's body still has bytes
// in memory to deliver.
func (c *Conn) Reusable() bool {
	if state(c.state.Load()) != idle || c.broken.Load() {
		return false
	}
	_, cause := c.canceler.stopped()
	return cause == nil
}

// Broken reports whether the process behind the connection should be killed:
// it has violated the protocol, or a request to it was cut off while it was
// sent. php-cgi would run a request with a cut body as one with none when the
// connection is closed, so kill first.
func (c *Conn) Broken() bool { return c.broken.Load() }

// Aborted reports whether it is Broken only because the request was given up while
// it was sent: its context had ended, or its body could not be read. PHP has
// done nothing wrong.
func (c *Conn) Aborted() bool { return c.aborted.Load() }

// markAborted marks the connection as broken because a request was not sent wholly.
func (c *Conn) markAborted(cause error) {
	_, body := errors.AsType[*BodyError](cause)
	c.aborted.Store(body || errors.Is(cause, context.Canceled))
	c.broken.Store(true)
}

// StrayResponse reports whether it is Broken by an earlier request, whose script has
// forked, and not by the last one.
func (c *Conn) StrayResponse() bool { return c.strayResponse.Load() }

// Interrupt gives the connection up, for a reason that the connection itself
// may not show: the process has died, but a program that it started keeps the
// connection open. What has arrived is still delivered; then all I/O fails
// with err. It may be called at any time, from any goroutine, more than once.
func (c *Conn) Interrupt(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.canceler.abort(err)
}

// Close closes the connection. A request under way fails.
func (c *Conn) Close() error {
	c.canceler.abort(ErrClosed)
	return c.nc.Close()
}

// Check looks, without waiting, at a connection that has no request: nil means
// that it is quiet, as it must be; io.EOF or another error that it is lost. A
// [*ProtocolError] says that bytes have come unasked, as from the copy of a
// script that has forked; the connection is then Broken.
func (c *Conn) Check() error {
	if _, cause := c.canceler.stopped(); cause != nil {
		return cause
	}
	if state(c.state.Load()) != idle {
		return errBusy
	}
	if !c.raw.available() {
		return nil
	}
	n, err := c.raw.read(c.raw.oneByte[:])
	switch {
	case n > 0:
		c.markBroken()
		return protocolErrorf("bytes came unasked (first is %#x)", c.raw.oneByte[0])
	case errors.Is(err, errWouldBlock):
		return nil
	}
	c.state.Store(uint32(unusable))
	return err
}

// markBroken marks the connection as broken.
func (c *Conn) markBroken() {
	c.broken.Store(true)
	c.state.Store(uint32(unusable))
}

// acquire takes the connection for one use, which ctx can end.
func (c *Conn) acquire(ctx context.Context) (useID uint64, unwatch func() bool, err error) {
	if ctx.Err() != nil {
		return 0, nil, context.Cause(ctx)
	}
	if !c.state.CompareAndSwap(uint32(idle), uint32(busy)) {
		if _, cause := c.canceler.stopped(); cause != nil {
			return 0, nil, cause
		}
		return 0, nil, errBusy
	}
	useID, err = c.canceler.begin()
	if err != nil {
		c.state.Store(uint32(unusable))
		return 0, nil, err
	}
	c.sent.Store(0)
	c.readAfterStop = 0
	if ctx.Done() != nil {
		unwatch = context.AfterFunc(ctx, func() {
			c.canceler.stop(useID, context.Cause(ctx), false)
		})
	}
	return useID, unwatch, nil
}

// RoundTrip sends a request and returns when the head of its response is there. It
// reads while it sends, because PHP may do so too. The response's body is a
// [*Body], which must be closed; until then ctx can end the request.
//
// The error is a [*TransportError] if the connection failed or was given up
// ([ErrNotSent] then tells whether the request can safely be sent elsewhere),
// a [*ProtocolError] if the response makes no sense, a [*ParamError] or a
// [*BodyError] if the request could not be sent as it is. After any of them
// [Conn.Reusable] and [Conn.Broken] say what the connection is still good for.
func (c *Conn) RoundTrip(ctx context.Context, r *Request) (*http.Response, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	useID, unwatch, err := c.acquire(ctx)
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	// An id of its own tells the answer from one that comes late: of a script
	// that has forked, whose copy answers too.
	if c.id++; c.id == 0 {
		c.id = 1
	}
	b := newBody(c, r, useID, unwatch)
	if err := b.send(r); err != nil {
		return nil, b.fail(err)
	}
	if err := b.readHead(); err != nil {
		return nil, b.fail(err)
	}
	return &b.response, nil
}

// writeDeadlineSet writes p, which takes no longer than timeout without progress.
func (c *Conn) write(p []byte, timeout time.Duration) error {
	for len(p) > 0 {
		c.canceler.setWriteTimeout(timeout)
		n, err := c.nc.Write(p)
		c.sent.Add(int64(n))
		p = p[n:]
		if err == nil || (n > 0 && c.timedOut(err)) {
			continue
		}
		return c.writeError(err)
	}
	return nil
}

// timedOut reports whether err is a timeout, and not a stop.
func (c *Conn) timedOut(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_, cause := c.canceler.stopped()
	return cause == nil
}

func (c *Conn) writeError(err error) error {
	if _, cause := c.canceler.stopped(); cause != nil {
		return cause
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrWriteTimeout
	}
	return err
}

// readDeadlineSet waits for bytes. Silence for the timeout is borne as long as w makes
// progress with the body, because PHP may be silent until it has all of it.
func (c *Conn) read(p []byte, timeout time.Duration, w *writer) (int, error) {
	c.raw.drain()
	for {
		c.canceler.setReadTimeout(timeout)
		n, err := c.nc.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil && c.timedOut(err) && w.progressed() {
			continue
		}
		if err != nil {
			return c.readError(p, err)
		}
	}
}

// readError says what the error of a read means. After a stop that lets what
// has arrived still be read, it reads on without waiting.
func (c *Conn) readError(p []byte, err error) (int, error) {
	allowReads, cause := c.canceler.stopped()
	switch {
	case cause != nil && allowReads:
		return c.readRest(p, cause)
	case cause != nil:
		return 0, cause
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, ErrReadTimeout
	}
	return 0, connError(err)
}

// readRest reads what has arrived before the stop.
func (c *Conn) readRest(p []byte, cause error) (int, error) {
	if !c.raw.available() || errors.Is(cause, ErrClosed) || c.readAfterStop > maxReadAfterStop {
		return 0, cause
	}
	n, err := c.raw.read(p)
	if n > 0 {
		c.readAfterStop += n
		return n, nil
	}
	if errors.Is(err, errWouldBlock) {
		return 0, cause
	}
	return 0, fmt.Errorf("%w: %w", cause, connError(err))
}

// poll reads what has arrived, without waiting: errWouldBlock if that is nothing.
func (c *Conn) poll(p []byte) (int, error) {
	if !c.raw.available() {
		return 0, errWouldBlock
	}
	allowReads, cause := c.canceler.stopped()
	if cause != nil {
		if !allowReads {
			return 0, cause
		}
		return c.readRest(p, cause)
	}
	n, err := c.raw.read(p)
	if err != nil && !errors.Is(err, errWouldBlock) {
		err = connError(err)
	}
	return n, err
}

// connError is the error of a connection that has ended where it should not.
func connError(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("connection closed by peer: %w", io.ErrUnexpectedEOF)
	case closedByPeer(err):
		return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return ErrClosed
	}
	return err
}
