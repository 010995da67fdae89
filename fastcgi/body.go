package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxDiscard is how much of an unwanted response Close reads to save the
// connection.
const maxDiscard = 256 << 10

var errShortBody = fmt.Errorf("fastcgi: response body is shorter than its Content-Length: %w", io.ErrUnexpectedEOF)

// Body is the body of a response. It is one goroutine's at a time.
//
// [Body.Read] returns io.EOF only when PHP has ended the request. If the
// connection was lost or given up before, the error is a [*TransportError].
// If PHP sent less than the Content-Length that it announced, the error is an
// io.ErrUnexpectedEOF and the connection is none the worse.
type Body struct {
	response http.Response // together with the body: one allocation
	stream   stream

	c       *Conn // nil when the request has ended, well or not
	useID   uint64
	unwatch func() bool
	writer  *writer
	timeout time.Duration

	isHead         bool     // the request was HEAD
	noBody         bool     // the response has no body, whatever PHP sends
	closed         bool     // Close was called
	delivered      int64    // bytes delivered
	invalidHeaders int      // invalid header lines
	valueBuf       []string // room for the Content-Length
	hasLength      bool     // there is a Content-Length, which limits the body
	err            error    // what comes after the content that is there
}

func newBody(c *Conn, r *Request, useID uint64, unwatch func() bool) *Body {
	b := &Body{c: c, useID: useID, unwatch: unwatch, timeout: r.ReadTimeout, isHead: r.Head}
	b.stream.init(r.Stderr)
	b.stream.id = c.id
	return b
}

// InvalidHeaders returns how many lines of the response's head were not valid as
// HTTP header fields, and so left out.
func (b *Body) InvalidHeaders() int { return b.invalidHeaders }

// Next returns what comes next of the body, without copying it; it waits if
// nothing is there. The bytes are valid until the next call of a method.
func (b *Body) Next() ([]byte, error) {
	for b.stream.buffered() == 0 {
		if b.err != nil {
			b.stream.free()
			return nil, b.err
		}
		b.advance()
	}
	p := b.stream.take()
	b.delivered += int64(len(p))
	return p, nil
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.stream.buffered() == 0 {
		if b.err != nil {
			b.stream.free()
			return 0, b.err
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

// Ready reports whether the next Read or Next would return at once. When it is
// false PHP has written nothing more yet, which is the moment to flush what
// was read so far to the client.
func (b *Body) Ready() bool {
	for b.stream.buffered() == 0 && b.err == nil {
		if !b.poll() {
			return false
		}
	}
	return true
}

// Fill collects, in memory and without waiting, what PHP has written, until
// there are more than limit bytes (at most [MaxFill]). It returns true if that
// is all there is: the request has ended, and the connection is free for the
// next one, though the collected bytes are still to be read from the body. The
// length is then known: the response's ContentLength and its header
// Content-Length are set to it, even where PHP had announced another.
func (b *Body) Fill(limit int) (complete bool) {
	limit = min(limit, MaxFill)
	for b.c != nil && b.stream.buffered() <= limit {
		if !b.poll() {
			break
		}
	}
	if errors.Is(b.err, errShortBody) {
		b.err = io.EOF
	} else if !errors.Is(b.err, io.EOF) {
		return false
	}
	if b.noBody {
		return true
	}
	n := b.delivered + int64(b.stream.buffered())
	if !b.hasLength || b.response.ContentLength != n {
		b.response.ContentLength = n
		b.valueBuf[0] = strconv.FormatInt(n, 10)
		b.response.Header["Content-Length"] = b.valueBuf
	}
	return true
}

// Close ends the reading. If the request has not ended, and its end is not
// there to be read without waiting, the connection is spent: PHP may run on.
func (b *Body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	for most := b.stream.total + maxDiscard; b.c != nil && b.stream.total < most; {
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

// advance waits for bytes and decodes them.
func (b *Body) advance() {
	space := b.stream.writable()
	n, err := b.c.read(space, b.timeout, b.writer)
	b.received(n, err)
}

// poll decodes what has arrived and reports whether there was anything, be it
// an error.
func (b *Body) poll() bool {
	space := b.stream.writable()
	if b.c == nil || len(space) == 0 {
		return false
	}
	n, err := b.c.poll(space)
	if errors.Is(err, errWouldBlock) {
		return false
	}
	b.received(n, err)
	return true
}

// received takes note of n bytes put into the stream's room, or of an error.
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
	if b.stream.ended {
		b.finish()
	}
}

// finish is called when END_REQUEST has been seen. What is left of the response
// is in memory, and the connection can go.
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
		b.err = protocolErrorf("request refused: %v", s)
	}
	b.checkLength()
}

// checkLength makes a body that has ended before its announced length an error.
func (b *Body) checkLength() {
	if errors.Is(b.err, io.EOF) && b.hasLength && !b.noBody && b.stream.limit > 0 {
		b.err = errShortBody
	}
}

// abandon gives up a request that has not ended.
func (b *Body) abandon(cause error) {
	c := b.c
	c.canceler.stop(b.useID, cause, false) // so that the writer ends
	if !b.writer.finish() {
		c.markAborted(cause) // PHP must not go on with a cut body
	}
	b.err = cause
	if _, ok := errors.AsType[*ProtocolError](cause); !ok {
		b.err = &TransportError{Sent: c.sent.Load(), ResponseStarted: b.stream.responseStarted, Err: cause}
	}
	b.detach(unusable)
}

// detach lets go of the connection, which is then in state next.
func (b *Body) detach(next state) {
	c := b.c
	b.c = nil
	c.canceler.end() //nolint:errcheck // who asks Reusable learns of it
	if b.unwatch != nil {
		b.unwatch()
	}
	if next != idle {
		c.raw.drain() // else PHP would see a reset when it is closed
	}
	// Last: from here on another goroutine may use the connection.
	c.state.Store(uint32(next))
}
