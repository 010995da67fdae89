package fastcgi

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxStdinContent is the content of a STDIN record: the largest multiple of 8, as
	// php-cgi's own records have it.
	maxStdinContent = 65528

	// writerGrace is how long a body may still take after END_REQUEST. php-cgi
	// has then read all of it, so that only our own goroutine has to notice.
	writerGrace = 100 * time.Millisecond
)

// errStopped ends a writer that was told to. Nobody sees it: the request has
// ended, or failed for another reason.
var errStopped = errors.New("fastcgi: request given up")

// chunk is one STDIN record and the empty one that ends the stream.
type chunk [headerLen + maxStdinContent + headerLen]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// writer sends the body of one request while its response is read. A nil
// writer stands for a body that was sent with the first write.
type writer struct {
	c         *Conn
	useID     uint64
	body      io.Reader
	remaining int64
	timeout   time.Duration

	stop        atomic.Bool  // read no more of the body
	readingBody atomic.Bool  // for the body
	recordsSent atomic.Int64 // sent
	recordsSeen int64        // records that moved has seen

	done     chan struct{}
	complete bool // everything was sent; valid when done is closed
}

func startWriter(c *Conn, useID uint64, r *Request) *writer {
	w := &writer{
		c: c, useID: useID, body: r.Body, remaining: r.ContentLength, timeout: r.WriteTimeout,
		done: make(chan struct{}),
	}
	r.consumed = true
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	buf := chunks.Get().(*chunk) //nolint:forcetypeassert // the pool has nothing else
	defer chunks.Put(buf)
	for w.remaining > 0 {
		if err := w.sendRecord(buf); err != nil {
			// What PHP has answered so far is worth having: it may say why.
			w.c.canceler.stop(w.useID, err, true)
			return
		}
	}
	w.complete = true
}

// sendRecord sends one record, and with the last one the end of STDIN.
func (w *writer) sendRecord(buf *chunk) error {
	n := int(min(w.remaining, maxStdinContent))
	if err := w.readBody(buf[headerLen : headerLen+n]); err != nil {
		return &BodyError{unexpectedEOF(err)}
	}
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

// readBody fills p from the body, but gives up between two reads when told to quit.
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

// progressed reports whether the body has got on since it was last asked, or waits
// for whoever provides it.
func (w *writer) progressed() bool {
	if w == nil {
		return false
	}
	n := w.recordsSent.Load()
	moved := n != w.recordsSeen || w.readingBody.Load()
	w.recordsSeen = n
	return moved
}

// finish waits for the end of the writer, which has little time left, and
// reports whether everything was sent.
func (w *writer) finish() bool {
	if w == nil {
		return true
	}
	select {
	case <-w.done:
	default:
		w.stop.Store(true)
		w.c.canceler.limitWrites(writerGrace)
		<-w.done
	}
	return w.complete
}
