package fastcgi

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxStdinContent is the content length of a STDIN record: the largest
	// multiple of 8, as in php-cgi's own records.
	maxStdinContent = 65528

	// writerGrace limits the time to send the rest of the body after
	// END_REQUEST. php-cgi has read all of the body by then, so the writer has
	// nothing left to do but end.
	writerGrace = 100 * time.Millisecond
)

// errStopped ends a writer whose stop flag is set. It is not returned to callers:
// the request has ended, or failed for another reason.
var errStopped = errors.New("fastcgi: request given up")

// chunk has space for a STDIN record and the empty record that ends the stream.
type chunk [headerLen + maxStdinContent + headerLen]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// writer sends the body of a request from its own goroutine while the response
// is read. A nil writer means that the body was sent with the first write.
type writer struct {
	c         *Conn
	useID     uint64
	body      io.Reader
	remaining int64
	timeout   time.Duration

	stop        atomic.Bool // do not read more of the body
	readingBody atomic.Bool // body.Read may be blocking; see bodyStream
	recordsSent atomic.Int64
	recordsSeen int64 // recordsSent at the last call of progressed

	done     chan struct{}
	complete bool // everything was sent; valid when done is closed

	stream *bodyStream // nil unless the body is streamed
}

// startWriter starts sending the body of r.
func startWriter(c *Conn, useID uint64, r *Request) *writer {
	w := &writer{
		c: c, useID: useID, body: r.Body, remaining: r.ContentLength, timeout: r.WriteTimeout,
		done: make(chan struct{}),
	}
	r.consumed = true
	if r.StreamBody {
		w.stream = newBodyStream(w, r.BodyTimeout)
		go w.stream.run()
	} else {
		go w.run()
	}
	return w
}

func (w *writer) run() {
	defer close(w.done)
	buf := chunks.Get().(*chunk) //nolint:forcetypeassert // the pool has nothing else
	defer chunks.Put(buf)
	for w.remaining > 0 {
		if err := w.sendRecord(buf); err != nil {
			// Bytes that have arrived may still be read: the response may say
			// why PHP stopped reading.
			w.c.canceler.stop(w.useID, err, true)
			return
		}
	}
	w.complete = true
}

// sendRecord sends the next record, and with the last one the end of STDIN.
func (w *writer) sendRecord(buf *chunk) error {
	n := int(min(w.remaining, maxStdinContent))
	if err := w.readBody(buf[headerLen : headerLen+n]); err != nil {
		return &BodyError{unexpectedEOF(err)}
	}
	return w.writeRecord(buf, n)
}

// writeRecord sends n bytes of content in buf, and with the last of the body the
// end of STDIN.
func (w *writer) writeRecord(buf *chunk, n int) error {
	w.remaining -= int64(n)
	appendHeader(buf[:0], typeStdin, w.c.id, n)
	record := buf[:headerLen+n]
	if w.remaining == 0 {
		record = appendHeader(record, typeStdin, w.c.id, 0)
	}
	if err := w.c.write(record, w.timeout); err != nil {
		return err
	}
	w.recordsSent.Add(1)
	return nil
}

// readBody fills p from the body. It checks the stop flag before each Read.
func (w *writer) readBody(p []byte) error {
	w.readingBody.Store(true)
	defer w.readingBody.Store(false)
	for len(p) > 0 {
		if w.stop.Load() {
			return errStopped
		}
		n, err := w.body.Read(p)
		p = p[n:]
		if err != nil && len(p) > 0 {
			return err
		}
	}
	return nil
}

// progressed reports whether more of the body was sent since the last call, or the
// writer is waiting for body.Read.
func (w *writer) progressed() bool {
	if w == nil {
		return false
	}
	n := w.recordsSent.Load()
	progressed := n != w.recordsSeen || w.readingBody.Load()
	w.recordsSeen = n
	return progressed
}

// finish waits for the writer to end, for about writerGrace unless body.Read
// blocks, and reports whether everything was sent. It does not wait for a Read of
// a streamed body.
func (w *writer) finish() bool {
	if w == nil {
		return true
	}
	select {
	case <-w.done:
	default:
		w.stop.Store(true)
		w.c.canceler.limitWrites(writerGrace)
		if w.stream != nil {
			w.stream.takeOver()
		}
		<-w.done
	}
	return w.complete
}

// cancel is finish for a request that is canceled. It also returns true if PHP may
// run the script with the part of a streamed body that it has.
func (w *writer) cancel(cause error) bool {
	if w != nil && w.stream != nil && clientGone(cause) {
		w.stream.cut(cause)
		return true
	}
	return w.finish()
}
