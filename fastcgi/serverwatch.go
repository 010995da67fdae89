package fastcgi

import (
	"sync/atomic"
	"time"
)

// watchDelay is how long a request runs before the connection is watched. Most
// requests are shorter, and cost no more than a timer that is stopped.
const watchDelay = 20 * time.Millisecond

// watcher reads what a web server sends while its request runs, in a goroutine of its
// own: the end of the connection or ABORT_REQUEST cancels the request, a second
// BEGIN_REQUEST is refused. A request that is over before watchDelay is never
// watched; a second request that arrived meanwhile is run after it.
type watcher struct {
	c     *serverConn
	timer *time.Timer
	ended chan struct{} // receives each time that run returns
	id    uint16        // of the request

	interrupted atomic.Bool // run must return
}

func (w *watcher) init(c *serverConn) { w.c, w.ended = c, make(chan struct{}, 1) }

// start watches the connection from watchDelay on. No other goroutine may read from
// the connection until stop has returned.
func (w *watcher) start(id uint16) {
	w.id = id
	if w.timer == nil {
		w.timer = time.AfterFunc(watchDelay, w.run)
		return
	}
	w.timer.Reset(watchDelay)
}

// stop ends what start has begun.
func (w *watcher) stop() {
	if w.timer.Stop() {
		return
	}
	w.interrupted.Store(true)
	w.c.nc.SetReadDeadline(aLongTimeAgo) //nolint:errcheck // if it is closed, the read returns
	<-w.ended
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
				w.giveUp(err)
			}
			return
		}
	}
}

// giveUp cancels the request, unless the web server has only closed its own half of
// the connection, and still waits for the response.
func (w *watcher) giveUp(err error) {
	if halfClosed(w.c.nc, err) {
		return
	}
	if w.c.err == nil {
		w.c.err = err
	}
	w.c.cancel(errClientGone)
}
