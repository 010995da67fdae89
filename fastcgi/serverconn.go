package fastcgi

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// serverBufferSize is the size of a connection's read buffer. Most requests
	// without a body fit. An idle connection needs little more memory than this.
	serverBufferSize = 4 << 10

	// lingerTimeout limits how long a web server may take to close a connection after
	// its last request. If our side closed first and something was still on its way,
	// the response could be lost by a reset.
	lingerTimeout = 2 * time.Second
)

// serverConn is a connection from a web server. Its goroutine reads a request, lets
// the handler respond, and reads the next one. While a request runs for longer,
// another goroutine watches what arrives: see watcher.
type serverConn struct {
	s       *Server
	nc      net.Conn
	handler *handlerRef // of the last request
	watcher watcher
	wait    nextWait

	// Read by the connection's goroutine, or by the watcher's while that runs.
	buf        [serverBufferSize]byte
	start, end int   // what is in buf and was not used yet
	discard    int   // bytes to skip before the next record
	err        error // of reading

	ctx *clientContext // ends with the connection

	idleSince   atomic.Int64 // as serverClock; 0 while a request is received or runs
	deadlineSet bool         // a read deadline is set
	writeMu     sync.Mutex   // held while whole records are written
	parts       net.Buffers  // that are being written; here, so that it is not allocated
	writing     atomic.Int64 // since when, as serverClock; 0 if nothing is written
	writeLimit  atomic.Int64 // how long that may take; 0 is no limit
}

// errClientGone is the cause of the context of a request whose web server has closed
// the connection or sent ABORT_REQUEST.
var errClientGone = errors.New("fastcgi: the web server has given the request up")

func newServerConn(s *Server, nc net.Conn, h *handlerRef) *serverConn {
	c := &serverConn{s: s, nc: nc, handler: h, ctx: newClientContext()}
	c.watcher.init(c)
	c.setIdle()
	return c
}

func (c *serverConn) setIdle() { c.idleSince.Store(serverClock()) }

// begin ends the idle time, and reports whether a request may begin: the connection
// has not been closed for another one.
func (c *serverConn) begin() bool {
	return c.idleSince.Swap(0) != 0
}

// closeIfIdle closes the connection unless a request has begun.
func (c *serverConn) closeIfIdle() {
	if t := c.idleSince.Load(); t != 0 && c.idleSince.CompareAndSwap(t, 0) {
		c.nc.Close()
	}
}

// serve runs until the connection has ended.
func (c *serverConn) serve() {
	defer c.nc.Close()
	defer c.ctx.cancel(errClientGone)
	for {
		r := c.receive()
		if r == nil {
			return
		}
		r.handler.ServeFastCGI(r)
		keep, ok := r.keep, r.finish()
		r.free()
		if !ok {
			return
		}
		if !keep {
			c.linger()
			return
		}
		if c.wait.out > 0 {
			continue
		}
		c.setIdle()
		if c.s.closing.Load() {
			return
		}
	}
}

// linger waits until the web server closes the connection.
func (c *serverConn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTimeout)) //nolint:errcheck // then the read fails
	for {
		if _, err := c.nc.Read(c.buf[:]); err != nil {
			return
		}
	}
}

// receive reads up to the end of the parameters of the next request. It returns nil if
// the connection has ended or must be closed.
func (c *serverConn) receive() *ServerRequest {
	var r *ServerRequest
	for {
		h, err := c.nextRecord(r != nil)
		if err == nil && r == nil && h.typ == typeBeginRequest && !c.begin() {
			return nil
		}
		if err == nil {
			r, err = c.accept(r, h)
		}
		if err != nil {
			if r != nil {
				r.free()
			}
			return nil
		}
		if r != nil && r.paramsEnded {
			c.setDeadline(0)
			return r
		}
	}
}

// accept handles a record that arrived while r, which may be nil, is received. It
// returns the request that is received then.
func (c *serverConn) accept(r *ServerRequest, h header) (*ServerRequest, error) {
	switch {
	case h.typ == typeBeginRequest && r == nil:
		return c.beginRequest(h)
	case h.typ == typeParams && r != nil && h.id == r.id:
		if h.content == 0 {
			r.paramsEnded = true
			c.discard += h.padding
			return r, nil
		}
		return r, r.readParams(h)
	case h.typ == typeAbortRequest && r != nil && h.id == r.id:
		return r, errClientGone
	}
	return r, c.other(h)
}

// beginRequest handles BEGIN_REQUEST.
func (c *serverConn) beginRequest(h header) (*ServerRequest, error) {
	body := c.take(h)
	role, flags := int(body[0])<<8|int(body[1]), body[2]
	if role != roleResponder {
		c.setIdle()
		return nil, c.writeEnd(h.id, unknownRole)
	}
	handler := c.s.handler.Load()
	if handler != c.handler {
		if !handler.Allows(c.nc.RemoteAddr()) {
			return nil, net.ErrClosed
		}
		c.handler = handler
	}
	return newServerRequest(c, handler, h.id, flags&flagKeepConn != 0), nil
}

// other handles a record that does not belong to the request that is received or
// runs: it may come from another one, which has ended or cannot be accepted.
func (c *serverConn) other(h header) error {
	switch h.typ {
	case typeBeginRequest:
		c.take(h)
		return c.writeEnd(h.id, cantMultiplex)
	case typeGetValues:
		return c.respondValues(h)
	case typeAbortRequest, typeParams, typeStdin, typeData:
	default:
		if h.id == managementID {
			if err := c.writeRecord(typeUnknownType, managementID, []byte{byte(h.typ), 0, 0, 0, 0, 0, 0, 0}); err != nil {
				return err
			}
		}
	}
	c.discard += h.content + h.padding
	return nil
}

// beginRequestLen is the content length of BEGIN_REQUEST.
const beginRequestLen = 8

// take returns the content of a record of which all is in the buffer (see nextRecord).
// It is valid until the next read.
func (c *serverConn) take(h header) []byte {
	p := c.buf[c.start : c.start+h.content]
	c.start += h.content
	c.discard += h.padding
	return p
}

// respondValues responds to GET_VALUES (FastCGI 1.0, section 4.1).
func (c *serverConn) respondValues(h header) error {
	var result []byte
	content := c.take(h)
	limit := c.s.handler.Load().Limits().Connections
	for len(content) > 0 {
		name, _, size := nextPair(content)
		if size == 0 {
			return protocolErrorf("GET_VALUES has malformed name-value pairs")
		}
		result = appendValue(result, string(name), limit)
		content = content[size:]
	}
	return c.writeRecord(typeGetValuesResult, managementID, result)
}

// nextRecord returns the header of the next record. If that is BEGIN_REQUEST or
// GET_VALUES, all of its content is in the buffer. inRequest reports whether a request
// is received, which has to arrive within the timeout.
func (c *serverConn) nextRecord(inRequest bool) (header, error) {
	if c.end-c.start < c.discard+headerLen && inRequest {
		c.setDeadline(c.handler.Limits().Timeout)
	}
	if err := c.fill(headerLen); err != nil {
		return header{}, err
	}
	h := parseHeader(c.buf[c.start:])
	if h.version != version1 {
		return header{}, protocolErrorf("record of version %d", h.version)
	}
	need := headerLen
	switch {
	case h.typ == typeBeginRequest && h.content != beginRequestLen:
		return header{}, protocolErrorf("BEGIN_REQUEST of %d bytes, expected %d", h.content, beginRequestLen)
	case h.typ == typeGetValues && h.content > serverBufferSize-headerLen:
		return header{}, protocolErrorf("GET_VALUES of %d bytes", h.content)
	case h.typ == typeBeginRequest, h.typ == typeGetValues:
		need += h.content
	}
	if err := c.fill(need); err != nil {
		return header{}, err
	}
	c.start += headerLen
	return h, nil
}

// fill waits until n bytes, at most serverBufferSize, are in the buffer after those
// that are to be discarded. The first error counts.
func (c *serverConn) fill(n int) error {
	for {
		if skip := min(c.discard, c.end-c.start); skip > 0 {
			c.start += skip
			c.discard -= skip
		}
		if c.discard == 0 && c.end-c.start >= n {
			return nil
		}
		if c.err != nil {
			return c.err
		}
		if c.start > 0 {
			c.end = copy(c.buf[:], c.buf[c.start:c.end])
			c.start = 0
		}
		m, err := c.read()
		c.end += m
		if err != nil && m == 0 {
			if errors.Is(err, os.ErrDeadlineExceeded) && c.watcher.interrupted.Load() {
				return err // the connection is all right
			}
			c.err = err
		}
	}
}

// read reads into the rest of the buffer.
func (c *serverConn) read() (int, error) {
	if c.wait.out > 0 {
		return c.writeAndRead()
	}
	return c.nc.Read(c.buf[c.end:])
}

// readContent reads up to len(p) bytes of a record's content without more copying than
// needed.
func (c *serverConn) readContent(p []byte) (int, error) {
	if err := c.fill(0); err != nil { // skips what is to be discarded
		return 0, err
	}
	if c.end > c.start {
		n := copy(p, c.buf[c.start:c.end])
		c.start += n
		return n, nil
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.nc.Read(p)
	if err != nil && n == 0 {
		c.err = err
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// setDeadline limits the next reads to d; 0 is no limit.
func (c *serverConn) setDeadline(d time.Duration) {
	if d <= 0 && !c.deadlineSet {
		return
	}
	c.deadlineSet = d > 0
	c.nc.SetReadDeadline(deadline(max(0, d))) //nolint:errcheck // if it is closed, the read fails
}
