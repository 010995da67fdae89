package fastcgi

import (
	"sync/atomic"
	"time"
)

const (
	// watchDelay is how long a request runs before its connection is watched. Most
	// requests are shorter, and cost no more than a few atomic operations.
	watchDelay = 20 * time.Millisecond

	// maxQuietSweeps is how often the sweep finds no request before it ends.
	maxQuietSweeps = 50
)

// The states of a watcher.
const (
	notWatching int32 = iota
	watchSoon         // the request has just begun
	watching          // run has been started
)

// watcher reads what a web server sends while its request runs, in its own
// goroutine: the end of the connection or ABORT_REQUEST cancels the request, a second
// BEGIN_REQUEST is refused. A request that is over before watchDelay is never
// watched; a second request that arrived meanwhile is run after it.
type watcher struct {
	c     *serverConn
	state atomic.Int32
	since atomic.Int64  // when the request began, as serverClock; valid in watchSoon
	ended chan struct{} // receives each time that run returns
	id    uint16        // of the request

	interrupted atomic.Bool // run must return
}

func (w *watcher) init(c *serverConn) { w.c, w.ended = c, make(chan struct{}, 1) }

// start watches the connection from watchDelay on. No other goroutine may read from
// the connection until stop has returned.
func (w *watcher) start(id uint16) {
	w.id = id
	w.since.Store(serverClock())
	w.state.Store(watchSoon)
	w.c.s.startSweep()
}

// stop ends what start has begun.
func (w *watcher) stop() {
	if w.state.CompareAndSwap(watchSoon, notWatching) {
		return
	}
	w.interrupted.Store(true)
	w.c.nc.SetReadDeadline(aLongTimeAgo) //nolint:errcheck // if it is closed, the read returns
	<-w.ended
	w.state.Store(notWatching)
	w.interrupted.Store(false)
	w.c.deadlineSet = true
	w.c.setDeadline(0)
}

func (w *watcher) run() {
	c := w.c
	defer func() { w.ended <- struct{}{} }()
	for !w.interrupted.Load() {
		h, err := c.nextRecord(false)
		if err == nil {
			if h.typ == typeAbortRequest && h.id == w.id {
				err = errClientGone
			} else {
				err = c.other(h)
			}
		}
		if err != nil {
			if !w.interrupted.Load() {
				w.abandon(err)
			}
			return
		}
	}
}

// abandon cancels the request, unless the web server has only closed its own half of
// the connection, and still waits for the response.
func (w *watcher) abandon(err error) {
	if halfClosed(w.c.nc, err) {
		return
	}
	if w.c.err == nil {
		w.c.err = err
	}
	w.c.ctx.cancel(errClientGone)
}

// serverStarted is the origin of serverClock.
var serverStarted = time.Now()

// serverClock returns the monotonic time in nanoseconds, which is never 0.
func serverClock() int64 { return int64(time.Since(serverStarted)) + 1 }

// startSweep starts the sweep unless it runs. A timer for each request and deadline
// would cost more: the next of them often has to wake the thread that waits for I/O.
func (s *Server) startSweep() {
	if !s.sweeping.Load() && s.sweeping.CompareAndSwap(false, true) {
		go s.sweep()
	}
}

// sweep watches the connections of requests that run for longer than watchDelay, and
// closes those of web servers that do not read their response. It ends when there has
// been no request for a while.
func (s *Server) sweep() {
	ticker := time.NewTicker(watchDelay)
	defer ticker.Stop()
	for quiet := 0; ; {
		<-ticker.C
		if s.sweepOnce() {
			quiet = 0
			continue
		}
		if quiet++; quiet < maxQuietSweeps {
			continue
		}
		s.sweeping.Store(false)
		// A request that began before that has not started another sweep.
		if !s.sweepOnce() || !s.sweeping.CompareAndSwap(false, true) {
			return
		}
		quiet = 0
	}
}

// sweepOnce reports whether there was a request.
func (s *Server) sweepOnce() (busy bool) {
	now := serverClock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if since := c.writing.Load(); since != 0 {
			busy = true
			if limit := c.writeLimit.Load(); limit > 0 && now-since > limit {
				c.nc.Close() // the write fails
			}
		}
		busy = c.wait.sweep(c, now) || busy
		w := &c.watcher
		switch w.state.Load() {
		case watchSoon:
			busy = true
			if now-w.since.Load() >= int64(watchDelay) && w.state.CompareAndSwap(watchSoon, watching) {
				go w.run()
			}
		case watching:
			busy = true
		}
	}
	return busy
}
