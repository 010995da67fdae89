package fastcgi

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxStdin is the content of a STDIN record: the largest multiple of 8, as
	// php-cgi's own records have it.
	maxStdin = 65528

	// writerGrace is how long a body may still take after END_REQUEST. php-cgi
	// has then read all of it, so that only our own goroutine has to notice.
	writerGrace = 100 * time.Millisecond
)

// errQuit ends a writer that was told to. Nobody sees it: the request has
// ended, or failed for another reason.
var errQuit = errors.New("fastcgi: request given up")

// chunk is one STDIN record and the empty one that ends the stream.
type chunk [headerLen + maxStdin + headerLen]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// writer sends the body of one request while its response is read. A nil
// writer stands for a body that was sent with the first write.
type writer struct {
	c       *Conn
	turn    uint64
	body    io.Reader
	left    int64
	timeout time.Duration

	quit    atomic.Bool  // read no more of the body
	waiting atomic.Bool  // for the body
	records atomic.Int64 // sent
	seen    int64        // records that moved has seen

	done  chan struct{}
	whole bool // everything was sent; valid when done is closed
}

func startWriter(c *Conn, turn uint64, r *Request) *writer {
	w := &writer{
		c: c, turn: turn, body: r.Body, left: r.ContentLength, timeout: r.WriteTimeout,
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
	for w.left > 0 {
		if err := w.next(buf); err != nil {
			// What PHP has answered so far is worth having: it may say why.
			w.c.brake.stop(w.turn, err, true)
			return
		}
	}
	w.whole = true
}

// next sends one record, and with the last one the end of STDIN.
func (w *writer) next(buf *chunk) error {
	n := int(min(w.left, maxStdin))
	if err := w.fetch(buf[headerLen : headerLen+n]); err != nil {
		return &BodyError{short(err)}
	}
	w.left -= int64(n)
	appendHeader(buf[:0], typeStdin, w.c.id, n)
	record := buf[:headerLen+n]
	if w.left == 0 {
		record = appendHeader(record, typeStdin, w.c.id, 0)
	}
	if err := w.c.write(record, w.timeout); err != nil {
		return err
	}
	w.records.Add(1)
	return nil
}

// fetch fills p from the body, but gives up between two reads when told to quit.
func (w *writer) fetch(p []byte) error {
	w.waiting.Store(true)
	defer w.waiting.Store(false)
	for len(p) > 0 {
		if w.quit.Load() {
			return errQuit
		}
		n, err := w.body.Read(p)
		p = p[n:]
		if err != nil && len(p) > 0 {
			return err
		}
	}
	return nil
}

// moved reports whether the body has got on since it was last asked, or waits
// for whoever provides it.
func (w *writer) moved() bool {
	if w == nil {
		return false
	}
	n := w.records.Load()
	moved := n != w.seen || w.waiting.Load()
	w.seen = n
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
		w.quit.Store(true)
		w.c.brake.limitWrites(writerGrace)
		<-w.done
	}
	return w.whole
}
