package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// MaxParams limits the parameters of a request that a [Server] receives, in bytes.
// The headers that nginx and Apache httpd accept are less than that.
const MaxParams = 1 << 20

// ServerRequest is a request that a [Server] has received, and the response to it.
// Its Read returns the body (STDIN). Its methods must not be called concurrently.
type ServerRequest struct {
	c       *serverConn
	handler *handlerRef

	id          uint16
	keep        bool
	params      []byte
	paramsEnded bool
	tooLarge    bool // there were more than MaxParams

	stdin     int // bytes of the current STDIN record that were not read yet
	padding   int // of that record
	bodyEnded bool

	out      []byte // whole records that were not written yet
	parts    [2][]byte
	watching bool
	ended    bool
	writeErr error
}

var serverRequests = sync.Pool{New: func() any {
	return &ServerRequest{params: make([]byte, 0, 2<<10), out: make([]byte, 0, 4<<10)}
}}

func newServerRequest(c *serverConn, h *handlerRef, id uint16, keep bool) *ServerRequest {
	r := serverRequests.Get().(*ServerRequest) //nolint:forcetypeassert // the pool has nothing else
	r.c, r.handler, r.id, r.keep = c, h, id, keep
	return r
}

// maxPooledServerBuffer limits the buffers that are kept for other requests.
const maxPooledServerBuffer = 160 << 10

func (r *ServerRequest) free() {
	params, out := r.params[:0], r.out[:0]
	if cap(params) > maxPooledServerBuffer {
		params = nil
	}
	if cap(out) > maxPooledServerBuffer {
		out = nil
	}
	*r = ServerRequest{params: params, out: out}
	serverRequests.Put(r)
}

// Context returns the context of the request. It is done when the web server has given
// the request up.
func (r *ServerRequest) Context() context.Context { return r.c.ctx }

// RemoteAddr returns the address of the web server.
func (r *ServerRequest) RemoteAddr() net.Addr { return r.c.nc.RemoteAddr() }

// Params returns the encoded name-value pairs of the request, as the web server has
// sent them. They may be malformed: see [NextPair]. They are valid as long as r is.
func (r *ServerRequest) Params() []byte { return r.params }

// TooLarge reports whether the request had more than [MaxParams] bytes of parameters.
// Params has the first of them.
func (r *ServerRequest) TooLarge() bool { return r.tooLarge }

// NextPair decodes the first name-value pair of a block. size is its encoded size, 0
// if the block does not begin with a whole pair.
func NextPair(block []byte) (name, value []byte, size int) { return nextPair(block) }

// readParams reads the content of a PARAMS record.
func (r *ServerRequest) readParams(h header) error {
	c := r.c
	c.setNeeded(h.content)
	for n := h.content; n > 0; {
		if err := c.fill(1); err != nil {
			return err
		}
		m := min(n, c.end-c.start)
		part := c.buf[c.start : c.start+m]
		if space := MaxParams - len(r.params); len(part) > space {
			part, r.tooLarge = part[:space], true
		}
		r.params = append(r.params, part...)
		c.start += m
		n -= m
	}
	c.discard += h.padding
	return nil
}

// setNeeded starts the timeout if n bytes are not there yet.
func (c *serverConn) setNeeded(n int) {
	if c.end-c.start < n {
		c.setDeadline(c.handler.Limits().Timeout)
	}
}

// Read reads the body of the request. It returns io.EOF at its end, and another error
// if the web server has given the request up before that.
func (r *ServerRequest) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.stdin == 0 {
		if r.bodyEnded {
			return 0, io.EOF
		}
		if err := r.nextStdin(); err != nil {
			return 0, err
		}
	}
	r.c.setNeeded(1)
	n, err := r.c.readContent(p[:min(len(p), r.stdin)])
	r.stdin -= n
	if r.stdin == 0 {
		r.c.discard += r.padding
		r.padding = 0
	}
	return n, err
}

// nextStdin reads the header of the next STDIN record.
func (r *ServerRequest) nextStdin() error {
	c := r.c
	h, err := c.nextRecord(true)
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case h.typ == typeAbortRequest && h.id == r.id:
		c.err = errClientGone
		return c.err
	case h.typ != typeStdin || h.id != r.id:
		return c.other(h)
	}
	r.stdin, r.padding = h.content, h.padding
	if h.content == 0 {
		r.bodyEnded, r.padding = true, 0
		c.discard += h.padding
		c.setDeadline(0)
	}
	return nil
}

// Watch cancels the request's context if the web server gives the request up from now
// on. The body must have been read to its end, and must not be read any more.
func (r *ServerRequest) Watch() {
	r.watching = true
	r.c.watcher.start(r.id)
}

func (r *ServerRequest) stopWatching() {
	if r.watching {
		r.watching = false
		r.c.watcher.stop()
	}
}

// finish ends the request, and reports whether the connection can be used for another
// one.
func (r *ServerRequest) finish() bool {
	r.stopWatching()
	if !r.keep || !r.endLater() {
		r.End() //nolint:errcheck // writeErr is the same
	}
	if r.writeErr != nil || r.c.ctx.Err() != nil {
		return false
	}
	if !r.bodyEnded && r.keep {
		// The rest of the body is skipped with the records that belong to no request.
		r.c.discard += r.stdin + r.padding
	}
	return true
}

// HasBody waits until the body begins or turns out to be empty.
func (r *ServerRequest) HasBody() (bool, error) {
	for r.stdin == 0 && !r.bodyEnded {
		if err := r.nextStdin(); err != nil {
			return false, err
		}
	}
	return r.stdin > 0, nil
}
