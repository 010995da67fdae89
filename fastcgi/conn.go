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

// maxReadAfterStop limits the bytes read after a stop, so that a process that
// keeps writing cannot hold a request that was given up. It is more than a
// socket buffer holds.
const maxReadAfterStop = 8 << 20

// state says whether a connection can take a request.
type state uint32

const (
	idle     state = iota // the next request can be sent
	busy                  // a request is running
	unusable              // the last request did not end properly: close the connection
)

// Conn is a connection to a FastCGI responder. It runs one request at a time.
//
// Interrupt, Close, Reusable, Broken, Aborted and StrayResponse may be called
// from any goroutine at any time. All other methods, and the methods of the
// response's body, must not be called concurrently.
type Conn struct {
	nc       net.Conn
	raw      rawConn
	canceler canceler

	state         atomic.Uint32
	broken        atomic.Bool // see Broken
	aborted       atomic.Bool // see Aborted
	strayResponse atomic.Bool // see StrayResponse

	worker *workerState // nil unless a worker script is at the other end

	id            uint16       // of the current request, from 1
	sent          atomic.Int64 // bytes of the request passed to the operating system
	readAfterStop int          // bytes read since the request was stopped
}

// NewConn returns a Conn over nc and takes ownership of nc. If nc is a
// syscall.Conn, like the sockets of package net, the Conn can also read without
// blocking. Over any other connection, as net.Pipe, Check does not see data, and
// Body.Ready and Body.Fill see only what has been read already.
func NewConn(nc net.Conn) *Conn {
	c := newConn(nc)
	c.raw.peek.init(nc, c.raw.rc)
	return c
}

// newConn returns a Conn that does not peek: see peeker.
func newConn(nc net.Conn) *Conn {
	c := &Conn{nc: nc}
	c.canceler.nc = nc
	c.raw.init(nc)
	return c
}

// Reusable reports whether the next request can be sent: the last request was
// sent completely, its response has ended, and no bytes are left over. It
// becomes true when END_REQUEST has been read, even if part of the response's
// body is still in memory to be delivered.
func (c *Conn) Reusable() bool {
	if state(c.state.Load()) != idle || c.broken.Load() {
		return false
	}
	_, cause := c.canceler.stopped()
	return cause == nil
}

// Broken reports whether the process behind the connection should be killed
// before the connection is closed: it violated the protocol, or a request was
// only partly sent. When the connection closes, php-cgi takes a truncated body
// for the whole body and runs the script.
func (c *Conn) Broken() bool { return c.broken.Load() }

// Aborted reports whether the connection is Broken only because the request was
// given up while it was being sent: its context was canceled, or its body could
// not be read. The process has done nothing wrong.
func (c *Conn) Aborted() bool { return c.aborted.Load() }

// markAborted marks the connection as broken because cause kept the request from
// being sent completely.
func (c *Conn) markAborted(cause error) {
	_, body := errors.AsType[*BodyError](cause)
	c.aborted.Store(body || errors.Is(cause, context.Canceled))
	c.broken.Store(true)
}

// StrayResponse reports whether the connection is Broken because of an earlier
// request: its script forked, and the copy also sent a response. The last
// request is not the cause.
func (c *Conn) StrayResponse() bool { return c.strayResponse.Load() }

// Interrupt gives the connection up for a reason that the connection itself may
// not show: the process has died, but a program that it started keeps the
// connection open. Bytes that have arrived are still delivered; then all I/O
// fails with err, or with [ErrClosed] if err is nil. Interrupt may be called at
// any time, from any goroutine and more than once; the first error counts.
func (c *Conn) Interrupt(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.canceler.abort(err)
}

// Close closes the connection. A running request fails with [ErrClosed].
func (c *Conn) Close() error {
	c.canceler.abort(ErrClosed)
	if c.worker != nil {
		c.worker.input.close()
	}
	return c.nc.Close()
}

// Check reports, without blocking, whether an idle connection is still usable.
// It returns nil if nothing has arrived, as it should be, and io.EOF or another
// error if the connection has ended. Unexpected data, as from the copy of a
// script that forked, is a [*ProtocolError] and makes the connection Broken.
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
		return protocolErrorf("unexpected data on idle connection (first byte %#x)", c.raw.oneByte[0])
	case errors.Is(err, errWouldBlock):
		return nil
	}
	c.state.Store(uint32(unusable))
	return err
}

// markBroken marks the connection as broken and unusable.
func (c *Conn) markBroken() {
	c.broken.Store(true)
	c.state.Store(uint32(unusable))
}

// acquire reserves the connection for one request, whose StreamBody is streamed. It is
// stopped when ctx is done, from when the caller starts watched until it ends that.
func (c *Conn) acquire(ctx context.Context, streamed bool) (useID uint64, watched watch, err error) {
	if ctx.Err() != nil {
		return 0, watch{}, context.Cause(ctx)
	}
	if !c.state.CompareAndSwap(uint32(idle), uint32(busy)) {
		if _, cause := c.canceler.stopped(); cause != nil {
			return 0, watch{}, cause
		}
		return 0, watch{}, errBusy
	}
	useID, err = c.canceler.begin(streamed)
	if err != nil {
		c.state.Store(uint32(unusable))
		return 0, watch{}, err
	}
	c.sent.Store(0)
	c.readAfterStop = 0
	return useID, c.watchContext(ctx, useID), nil
}

// contextError returns the error of a context that is done. It matches both the
// context's error and its cause, which can be any error: that of an HTTP/3 request
// whose client has reset it is one of QUIC.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// RoundTrip sends a request and returns when the header of its response has
// arrived. It reads while it sends, because PHP may respond before it has read
// the whole body. The response's Body is a [*Body]. The caller must close it;
// until then the request ends when ctx is done.
//
// The error is a [*TransportError] if the connection failed or was given up
// (errors.Is(err, [ErrNotSent]) then reports whether the request can safely be
// sent over another connection), a [*ProtocolError] if the response is invalid,
// and a [*ParamError] or a [*BodyError] if the request cannot be sent. After an
// error, [Conn.Reusable] and [Conn.Broken] report the state of the connection.
func (c *Conn) RoundTrip(ctx context.Context, r *Request) (*http.Response, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	useID, watched, err := c.acquire(ctx, r.StreamBody)
	if err != nil {
		return nil, &TransportError{Err: err}
	}
	// A new id for each request makes a late response recognizable: that of the
	// copy of a script that forked.
	if c.id++; c.id == 0 {
		c.id = 1
	}
	b := newBody(c, r, useID, watched)
	c.worker.begin(&b.stream)
	if err := b.send(r); err != nil {
		return nil, b.fail(err)
	}
	if err := b.readHead(); err != nil {
		return nil, b.fail(err)
	}
	return &b.response, nil
}

// write writes p. It fails if the peer reads nothing for timeout; 0 is no limit.
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

// timedOut reports whether err is a timeout, and not the effect of a stop.
func (c *Conn) timedOut(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	_, cause := c.canceler.stopped()
	return cause == nil
}

// writeError returns why a write failed with err.
func (c *Conn) writeError(err error) error {
	if _, cause := c.canceler.stopped(); cause != nil {
		return cause
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrWriteTimeout
	}
	return err
}

// read waits for bytes, for timeout at most; 0 is no limit. The timeout is
// extended while w makes progress with the request body, because PHP may not
// respond before it has all of it.
func (c *Conn) read(p []byte, timeout time.Duration, w *writer) (int, error) {
	c.raw.drain()
	for {
		c.canceler.setReadTimeout(timeout)
		n, err := c.nc.Read(p)
		if n > 0 {
			return n, w.cutError()
		}
		if err != nil && c.timedOut(err) && w.progressed() {
			continue
		}
		if err != nil {
			return c.readError(p, err)
		}
	}
}

// readError returns why a read failed with err. If the request was stopped but
// bytes that have arrived may still be read, it reads them into p instead.
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

// readRest reads bytes that arrived before the stop. It returns cause after the
// last of them.
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

// poll reads what has arrived, without blocking. It returns errWouldBlock if
// nothing has.
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

// connError returns err in one form for all platforms and kinds of connections:
// an unexpected end of the connection is an io.ErrUnexpectedEOF.
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
