package fastcgi

import (
	"net"
	"sync/atomic"
	"time"
)

// The states of a nextWait.
const (
	notWaiting  int32 = iota
	waiting           // for what arrives after the response was written
	interrupted       // by the sweep
)

// nextWait writes the end of a response and waits for the next request in one step.
// Package net would first try a read that cannot succeed: the web server sends its next
// request when it has the response.
//
// What had arrived before the response was written is not noticed: a request that the web
// server did not wait with, or the end of the connection. So the sweep interrupts the
// wait once, after watchDelay, and the connection is read as usual.
type nextWait struct {
	raw   rawConn
	init  bool          // raw.init was called
	out   int           // bytes at the beginning of the connection's buffer that are to be written
	state atomic.Int32  // see above
	ended chan struct{} // receives when the sweep has interrupted the wait
}

// endLater ends the response like End, but leaves it to the next read to write what
// is left of it. It returns false if that is not possible.
func (r *ServerRequest) endLater() bool {
	c := r.c
	w := &c.wait
	if r.ended || r.writeErr != nil || c.start != c.end || c.err != nil || len(r.out) > len(c.buf)-headerLen-endRequestLen {
		return false
	}
	if !w.init {
		w.init, w.ended = true, make(chan struct{}, 1)
		w.raw.init(c.nc)
		w.raw.written = c.responseWritten
	}
	if !w.raw.available() {
		return false
	}
	r.ended = true
	r.out = appendEnd(r.out, r.id, requestComplete)
	c.start, c.end = 0, 0
	w.out = copy(c.buf[:], r.out)
	r.out = r.out[:0]
	return true
}

// responseWritten is called when all of a response was written, before the wait.
func (c *serverConn) responseWritten() {
	c.writing.Store(0)
	c.setIdle()
	if c.s.closing.Load() {
		c.nc.SetReadDeadline(aLongTimeAgo) //nolint:errcheck // if it is closed, the read fails
	}
}

// writeAndRead writes what endLater has left, and reads the beginning of the next
// request into the buffer.
func (c *serverConn) writeAndRead() (int, error) {
	w := &c.wait
	out := c.buf[:w.out]
	w.out = 0
	c.startWrite(c.handler.Limits().Timeout)
	w.state.Store(waiting)
	sent, n, err := w.raw.writeRead(out, c.buf[:])
	wasInterrupted := !w.state.CompareAndSwap(waiting, notWaiting)
	if wasInterrupted {
		<-w.ended
		w.state.Store(notWaiting)
		c.nc.SetReadDeadline(time.Time{}) //nolint:errcheck // if it is closed, the read fails
		if c.s.closing.Load() {
			return 0, net.ErrClosed
		}
	}
	switch {
	case sent < len(out):
		if err == nil {
			_, err = c.nc.Write(out[sent:])
		}
		c.writing.Store(0)
		if err != nil {
			return 0, err
		}
		c.responseWritten()
	case n > 0 || err != nil && !wasInterrupted:
		return n, err
	}
	return c.nc.Read(c.buf[:])
}

// sweep interrupts the wait after watchDelay. It reports whether there is one.
func (w *nextWait) sweep(c *serverConn, now int64) bool {
	if w.state.Load() != waiting {
		return false
	}
	if since := c.idleSince.Load(); since != 0 && now-since >= int64(watchDelay) && w.state.CompareAndSwap(waiting, interrupted) {
		c.nc.SetReadDeadline(aLongTimeAgo) //nolint:errcheck // if it is closed, the read returns
		w.ended <- struct{}{}
	}
	return true
}
