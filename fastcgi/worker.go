package fastcgi

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// The records that a worker script and we exchange besides those of FastCGI 1.0. Those
// that are not of a request are management records: their id is 0.
const (
	// typeHello is the first record of the script. Its content is the nonce that the
	// script was given, which shows that it is the one that was started.
	typeHello recordType = 100
	// typeReady says that the script waits for a request. It has no content. It follows
	// HELLO, and END_REQUEST of each request: between the two the script may do more
	// work, or end.
	typeReady recordType = 101
	// typeStop asks the script to end. It has no content.
	typeStop recordType = 102
	// typeStored takes the place of the STDIN records of a request: its body is in the
	// file of php://input. It has the id of the request and no content. See workerInput.
	typeStored recordType = 103
)

// abortTimeout limits how long ABORT_REQUEST may take to send. There is always room in
// the socket buffer for it, unless the script has not read its request.
const abortTimeout = 100 * time.Millisecond

// WorkerLog is where the messages of a worker script arrive that PHP does not send
// over the connection: see [NewWorkerConn]. Its methods are called one at a time.
type WorkerLog interface {
	// BeginRequest is called before a request is sent. The messages that arrive from now
	// on belong to it.
	BeginRequest()
	// EndRequest is called when the script is ready again, or is not expected to be. It
	// writes what has arrived since BeginRequest to dst, unless dst is nil.
	EndRequest(dst io.Writer)
}

// WorkerOptions configures [NewWorkerConn]. The functions are called on the goroutine that
// reads the response.
type WorkerOptions struct {
	// Log, if not nil, has more of the request's Stderr.
	Log WorkerLog

	// OnReset, if not nil, is called at the end of a request that has called
	// opcache_reset(), which PHP could never do while the script runs.
	OnReset func()

	// OpenInput, if not nil, opens for writing a file that the script has open under this
	// number: that of php://input, whose name PHP has removed. It must return an error
	// for any other file, because the script may give any number. Bodies of 64 KiB to
	// 16 MiB are then written to this file.
	OpenInput func(descriptor int) (*os.File, error)
}

// workerState belongs to a Conn with a worker script at the other end. A nil workerState
// is that of php-cgi.
type workerState struct {
	log   WorkerLog
	reset func()
	rest  *stream // of a response that was given up: what Recover has to read
	input workerInput
}

// NewWorkerConn returns a Conn over the connection that a worker script has opened and
// [GreetWorker] has accepted. It differs from [NewConn] in that the script says when it
// is ready for the next request, after the end of the last: until then [Body.Running] is
// true and [Body.Close] waits.
func NewWorkerConn(nc net.Conn, o WorkerOptions) *Conn {
	c := newConn(nc)
	c.worker = &workerState{log: o.Log, reset: o.OnReset, input: workerInput{open: o.OpenInput}}
	return c
}

func (w *workerState) begin(s *stream) {
	if w == nil {
		return
	}
	s.worker = true
	w.input.stored = false
	if w.log != nil {
		w.log.BeginRequest()
	}
}

func (w *workerState) end(s *stream) {
	if w == nil {
		return
	}
	if w.log != nil {
		w.log.EndRequest(s.stderr)
	}
	if s.signals == nil {
		return
	}
	if s.signals.opcacheReset && w.reset != nil {
		w.reset()
	}
	if s.signals.input > 0 {
		w.input.opened(s.signals.input)
	}
}

// keepRest keeps what is needed to find the end of a response that is given up, unless
// nothing of its request was sent.
func (w *workerState) keepRest(s *stream, sent bool) {
	if w == nil {
		return
	}
	if !sent {
		w.input.clear()
	}
	w.rest = &stream{
		typ: s.typ, remaining: s.remaining, padding: s.padding, id: s.id, awaitsReady: s.awaitsReady, ended: !sent,
		buf: append([]byte(nil), s.buf[s.wireStart:s.wireEnd]...),
	}
}

// Abandon tells PHP that the client of a request that was given up has disconnected:
// it closes the connection, which is how php-cgi learns that, or sends ABORT_REQUEST
// (FastCGI 1.0, section 5.4) to a worker script, after which [Conn.Recover] makes the
// connection usable again.
func (c *Conn) Abandon() {
	if c.worker == nil || c.worker.rest == nil || c.broken.Load() {
		_ = c.Close() // it is given up
		return
	}
	if c.worker.rest.ended {
		return
	}
	c.nc.SetWriteDeadline(time.Now().Add(abortTimeout))      //nolint:errcheck // if it is closed, the write fails
	c.nc.Write(appendHeader(nil, typeAbortRequest, c.id, 0)) //nolint:errcheck // Recover finds out
}

// Recover waits until the worker script has ended the request that was given up and is
// ready for the next one. The error is that of [Body.Read]; after it the connection
// cannot be used. Only a connection of [NewWorkerConn] can recover.
func (c *Conn) Recover(ctx context.Context) error {
	if c.worker == nil || c.worker.rest == nil || c.broken.Load() || !c.state.CompareAndSwap(uint32(unusable), uint32(idle)) {
		return &TransportError{Err: errBusy}
	}
	rest := c.worker.rest
	c.worker.rest = nil
	c.canceler.clear()
	if rest.ended {
		return nil
	}
	useID, watched, err := c.acquire(ctx, false)
	if err != nil {
		return &TransportError{Err: err}
	}
	watched.start()
	b := &Body{c: c, useID: useID}
	b.stream.init(nil)
	b.stream.resume(rest)
	b.received(0, nil)
	for b.Running() {
		b.stream.take()
		b.advance()
	}
	watched.end() // not left to b, which would no longer watch ctx
	err = b.err
	b.Close()
	switch {
	case !errors.Is(err, io.EOF):
		return err
	case c.Broken():
		return protocolErrorf("unexpected data after READY")
	}
	return nil
}

// resume continues the decoding of rest, whose content is not wanted.
func (s *stream) resume(rest *stream) {
	s.typ, s.remaining, s.padding, s.id = rest.typ, rest.remaining, rest.padding, rest.id
	s.worker, s.awaitsReady = true, rest.awaitsReady
	s.wireEnd = copy(s.buf, rest.buf)
	s.finishContent()
}

// checkReady checks the header of the record after END_REQUEST.
func checkReady(h header) error {
	if h.typ != typeReady || h.id != managementID || h.content != 0 {
		return protocolErrorf("record of type %d, id %d and %d bytes, expected READY", h.typ, h.id, h.content)
	}
	return nil
}

// GreetWorker reads what a worker script sends first. The error is a [*ProtocolError] if
// the peer is not the script that was given the nonce.
func GreetWorker(r io.Reader, nonce string) error {
	hello := make([]byte, headerLen+len(nonce))
	if _, err := io.ReadFull(r, hello[:headerLen]); err != nil {
		return unexpectedEOF(err)
	}
	h := parseHeader(hello)
	if h.version != version1 || h.typ != typeHello || h.id != managementID || h.padding != 0 || h.content != len(nonce) {
		return protocolErrorf("record of type %d and %d bytes, expected HELLO", h.typ, h.content)
	}
	if _, err := io.ReadFull(r, hello[headerLen:]); err != nil {
		return unexpectedEOF(err)
	}
	if subtle.ConstantTimeCompare(hello[headerLen:], []byte(nonce)) != 1 {
		return protocolErrorf("HELLO has another nonce")
	}
	return nil
}

// AwaitWorker waits until a worker script that was greeted is ready for its first
// request.
func AwaitWorker(r io.Reader) error {
	var ready [headerLen]byte
	if _, err := io.ReadFull(r, ready[:]); err != nil {
		return unexpectedEOF(err)
	}
	if h := parseHeader(ready[:]); h.version != version1 || h.padding != 0 {
		return protocolErrorf("malformed READY")
	}
	return checkReady(parseHeader(ready[:]))
}

// StopWorker tells a worker script to end. The connection must be idle.
func StopWorker(w io.Writer) error {
	_, err := w.Write(appendHeader(nil, typeStop, managementID, 0))
	return err
}
