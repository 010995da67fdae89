package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxDiscard limits how many bytes of an unwanted response Close reads to keep
// the connection usable.
const maxDiscard = 256 << 10

// Body is the body of a response. Its methods must not be called concurrently.
//
// [Body.Read] returns io.EOF only when PHP has ended the request. If the
// connection failed or was given up before that, the error is a
// [*TransportError]. If PHP has ended the request and the content is shorter than
// its Content-Length, or has no last chunk, the error is a [*TruncatedError] and the
// connection stays usable.
type Body struct {
	response http.Response // part of the Body to save an allocation
	stream   stream

	c         *Conn // nil when the request has ended, successfully or not
	useID     uint64
	watched   watch
	writer    *writer
	timeout   time.Duration
	onInterim InterimHandler // see Request.Interim

	isHead         bool  // the request method is HEAD
	raw            bool  // see Request.Raw
	noBody         bool  // the response has no body: what PHP sends is discarded
	closed         bool  // Close was called
	delivered      int64 // bytes returned to the caller
	invalidHeaders int   // see InvalidHeaders
	interim        int   // see Interim
	hasLength      bool  // the response has a Content-Length, which limits the body
	err            error // returned when the buffered content has been read
}

func newBody(c *Conn, r *Request, useID uint64, watched watch) *Body {
	b := &Body{c: c, useID: useID, watched: watched, timeout: r.ReadTimeout, isHead: r.Head, raw: r.Raw}
	b.stream.init(r.Stderr)
	b.stream.id = c.id
	b.stream.signalMark, b.onInterim = r.SignalMark, r.Interim
	return b
}

// InvalidHeaders returns the number of header lines that were dropped because
// they are not valid HTTP header fields.
func (b *Body) InvalidHeaders() int { return b.invalidHeaders }

// Interim returns the interim status (1xx except 101) that the script has set, such
// as 103 Early Hints; 0 if it has set none. PHP sends one header only: it is that of
// the interim response, which the caller should send first, and also that of the
// final one, whose status is 200 then.
func (b *Body) Interim() int { return b.interim }

// Surplus returns how many bytes PHP has sent so far beyond the response's
// Content-Length. They are dropped.
func (b *Body) Surplus() int64 {
	if b.noBody {
		return 0 // not a fault of the script
	}
	return b.stream.surplus
}

// Truncated reports whether PHP has ended the request before the end of the body.
// The body then ends with a [*TruncatedError].
func (b *Body) Truncated() bool {
	if b.err == nil && b.stream.finished {
		return !errors.Is(b.completionErr(), io.EOF)
	}
	_, ok := errors.AsType[*TruncatedError](b.err)
	return ok
}

// Next returns the next bytes of the body without copying them, and blocks until
// there are some. They are valid until the next call of a method. The errors are
// those of [Body.Read].
func (b *Body) Next() ([]byte, error) {
	for b.stream.buffered() == 0 {
		if err := b.end(); err != nil {
			return nil, err
		}
		b.advance()
	}
	p := b.stream.take()
	b.delivered += int64(len(p))
	return p, nil
}

// Read implements io.Reader. See [Body] for the errors.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.stream.buffered() == 0 {
		if err := b.end(); err != nil {
			return 0, err
		}
		b.advance()
	}
	n := b.stream.copyTo(p)
	b.delivered += int64(n)
	return n, nil
}

// WriteTo implements io.WriterTo.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for {
		p, err := b.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err := w.Write(p)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}

// Ready reports whether the next Read or Next returns without blocking. If not,
// PHP has written nothing more yet: the caller should flush what it has read so
// far to the client.
func (b *Body) Ready() bool {
	for b.stream.buffered() == 0 && b.err == nil && !b.stream.finished {
		if !b.poll() {
			return false
		}
	}
	return true
}

// AwaitRequestBody waits until the request's body has been sent or given up, or ctx
// is done. It may be called before the response's body is read.
func (b *Body) AwaitRequestBody(ctx context.Context) {
	if b.writer == nil {
		return
	}
	select {
	case <-b.writer.done:
	case <-ctx.Done():
	}
}

// Fill buffers what PHP has written, without blocking, until more than limit
// bytes (at most [MaxFill]) are buffered. It returns true if PHP has ended the
// request: the connection can be used for the next one while the buffered bytes
// are still read from the body. If PHP has sent no Content-Length, Fill then sets
// the response's ContentLength to the length of the body. It leaves the header as
// PHP has sent it: whether a length may be announced that PHP did not announce is
// for the caller to know.
func (b *Body) Fill(limit int) (ended bool) {
	limit = min(limit, MaxFill)
	for b.c != nil && !b.stream.finished && b.stream.buffered() <= limit {
		if !b.poll() {
			break
		}
	}
	if !b.stream.finished && !errors.Is(b.err, io.EOF) || b.Truncated() {
		return b.Truncated()
	}
	if !b.noBody && !b.hasLength {
		b.response.ContentLength = b.delivered + int64(b.stream.buffered())
	}
	return true
}

// Close closes the body. Unless the rest of the response, up to 256 KiB, has
// already arrived, the connection cannot be reused, because PHP may still be
// running. If PHP is known to run on without the client (see Running), Close waits
// until it has ended the request. Close always returns nil and may be called more
// than once.
func (b *Body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	if b.Running() {
		b.stream.take()
		b.stream.shrink()
	}
	for b.Running() {
		b.stream.take()
		b.advance()
	}
	for limit := b.stream.total + maxDiscard; b.c != nil && b.stream.total < limit; {
		b.stream.take()
		if !b.poll() {
			break
		}
	}
	if b.c != nil {
		b.abandon(context.Canceled)
	}
	b.stream.free()
	b.err = http.ErrBodyReadAfterClose
	return nil
}

// advance waits for bytes and decodes them. An error goes to b.err.
func (b *Body) advance() {
	b.watched.start()
	buf := b.stream.writable()
	n, err := b.c.read(buf, b.timeout, b.writer)
	b.received(n, err)
}

// poll decodes what has arrived, without blocking. It reports whether anything
// has, bytes or an error.
func (b *Body) poll() bool {
	buf := b.stream.writable()
	if b.c == nil || len(buf) == 0 {
		return false
	}
	n, err := b.c.poll(buf)
	if errors.Is(err, errWouldBlock) {
		return false
	}
	b.received(n, err)
	return true
}

// received decodes n bytes that were read into stream.writable, or handles the
// error of the read.
func (b *Body) received(n int, err error) {
	if err != nil {
		b.abandon(err)
		return
	}
	b.stream.received(n)
	if err := b.stream.decode(); err != nil {
		b.c.markBroken()
		b.abandon(err)
		return
	}
	if b.stream.signals != nil {
		b.handleSignals()
	}
	if b.stream.finished {
		b.contentFinished()
	}
	if b.stream.ended {
		b.finish()
	}
}

// finish is called when END_REQUEST has been decoded. The rest of the response is
// in memory, so the connection is released.
func (b *Body) finish() {
	sent := b.writer.finish()
	switch {
	case b.stream.trailing() > 0, b.stream.otherRequest:
		b.c.strayResponse.Store(b.stream.otherRequest)
		b.c.markBroken()
		b.detach(unusable)
	case !sent:
		b.detach(unusable)
	default:
		b.detach(idle)
	}
	b.err = io.EOF
	if s := b.stream.status; s != requestComplete {
		b.err = protocolErrorf("request rejected: %v", s)
	}
	b.checkLength()
}

// checkLength replaces the io.EOF of a body that PHP has ended too early.
func (b *Body) checkLength() {
	if errors.Is(b.err, io.EOF) {
		b.err = b.completionErr()
	}
}

// completionErr returns how a body ends of which nothing more will come: with io.EOF, or
// with a [*TruncatedError] if some of it is missing.
func (b *Body) completionErr() error {
	missing := b.stream.limit
	if b.stream.finished {
		missing = b.stream.missing
	}
	switch {
	case b.noBody:
	case b.stream.chunked != nil:
		if problem := b.stream.chunked.problem(); problem != "" {
			return &TruncatedError{problem}
		}
	case b.hasLength && missing > 0:
		length := b.response.ContentLength
		return &TruncatedError{fmt.Sprintf("PHP has sent %d bytes, its Content-Length is %d", length-missing, length)}
	}
	return io.EOF
}

// abandon gives up a request that has not ended.
func (b *Body) abandon(cause error) {
	c := b.c
	c.worker.keepRest(&b.stream, c.sent.Load() > 0)
	c.canceler.stop(b.useID, cause, false) // stops the writer
	if !b.writer.cancel(cause) {
		c.markAborted(cause) // PHP must not run the script with a truncated body
	}
	b.err = cause
	if _, ok := errors.AsType[*ProtocolError](cause); !ok {
		b.err = &TransportError{Sent: c.sent.Load(), ResponseStarted: b.stream.responseStarted, Err: cause}
	}
	b.detach(unusable)
}

// detach releases the connection, which is then in state next.
func (b *Body) detach(next state) {
	c := b.c
	b.c = nil
	c.worker.end(&b.stream)
	c.canceler.end() //nolint:errcheck // Reusable reports it
	b.watched.end()
	if next != idle {
		c.raw.drain() // otherwise PHP would get a reset when the connection is closed
	}
	// This must come last: another goroutine may now use the connection.
	c.state.Store(uint32(next))
}
