package fastcgi

import (
	"net"
	"sync"
	"time"
)

// aLongTimeAgo is a deadline in the past: it makes pending I/O return at once.
var aLongTimeAgo = time.Unix(1, 0)

// canceler stops the I/O of a connection from another goroutine. It turns a
// canceled context, a failed request body or a dead process into expired
// deadlines, and keeps timeouts from replacing those deadlines.
//
// A stop applies to one use of the connection, identified by its useID. A
// cancellation that comes too late has the id of an earlier use and does
// nothing, so there is no need to wait for a context.AfterFunc that is running.
type canceler struct {
	nc net.Conn

	mu                 sync.Mutex // guards the fields below and the calls of Set…Deadline
	useID              uint64
	abortErr           error // why the connection was given up, for good
	cause              error // why the current use was stopped
	allowReads         bool  // after a stop: bytes that have arrived may still be read
	streamed           bool  // the request body is streamed: see expireLocked
	writeDeadlineFixed bool  // setWriteTimeout leaves the write deadline alone
	readDeadlineSet    bool  // a read deadline is set, other than reminder
	writeDeadlineSet   bool  // a write deadline is set

	// reminder is the read deadline if it only ends an unwatched wait: see remind. It is
	// zero if that is not set. It outlives the use.
	reminder time.Time
}

// begin starts a use of the connection, for a request whose body is streamed or
// not. It fails if the connection was given up.
func (x *canceler) begin(streamed bool) (useID uint64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.abortErr != nil {
		return 0, x.abortErr
	}
	x.useID++
	x.streamed = streamed
	return x.useID, nil
}

// end ends the current use and clears its deadlines. It returns the error that
// the connection was given up with, or nil.
func (x *canceler) end() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.useID++
	x.cause, x.allowReads, x.writeDeadlineFixed = nil, false, false
	if x.abortErr == nil && (x.readDeadlineSet || x.writeDeadlineSet) {
		x.clearLocked()
	}
	return x.abortErr
}

// clear removes the deadlines.
func (x *canceler) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clearLocked()
}

func (x *canceler) clearLocked() {
	x.nc.SetDeadline(time.Time{}) //nolint:errcheck // if it is closed, the next use fails
	x.readDeadlineSet, x.writeDeadlineSet, x.reminder = false, false, time.Time{}
}

// stop stops the I/O of the use with this id. If allowReads is set, bytes that
// have arrived may still be read. The first call counts.
func (x *canceler) stop(useID uint64, cause error, allowReads bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.useID != useID || x.cause != nil {
		return
	}
	x.cause, x.allowReads = cause, allowReads
	x.expireLocked()
}

// abort gives the connection up for good. The first cause counts.
func (x *canceler) abort(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.abortErr == nil {
		x.abortErr = cause
		x.expireLocked()
	}
}

// expireLocked makes pending and future I/O return at once. The writer of a
// streamed body has a moment to end STDIN, unless the connection was given up.
func (x *canceler) expireLocked() {
	x.readDeadlineSet, x.writeDeadlineSet, x.reminder = true, true, time.Time{}
	if x.streamed && x.abortErr == nil {
		x.nc.SetReadDeadline(aLongTimeAgo)                 //nolint:errcheck // if it is closed, I/O has ended anyway
		x.nc.SetWriteDeadline(time.Now().Add(writerGrace)) //nolint:errcheck // as above
		return
	}
	x.nc.SetDeadline(aLongTimeAgo) //nolint:errcheck // as above
}

// stopped returns why I/O was stopped, or nil if it was not. allowReads reports
// whether bytes that have arrived may still be read. A canceled context takes
// precedence over a dead process, because the caller no longer wants a response.
func (x *canceler) stopped() (allowReads bool, cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.cause != nil && !x.allowReads:
		return false, x.cause
	case x.abortErr != nil:
		return true, x.abortErr
	}
	return x.allowReads, x.cause
}

// setReadTimeout sets the deadline of the next read to d from now; 0 is no
// deadline.
func (x *canceler) setReadTimeout(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.abortErr != nil || x.cause != nil || (d == 0 && !x.readDeadlineSet && x.reminder.IsZero()) {
		return
	}
	x.readDeadlineSet, x.reminder = d > 0, time.Time{}
	x.nc.SetReadDeadline(deadline(d)) //nolint:errcheck // if it is closed, the read fails
}

const (
	// maxUnwatched is how long a request waits at most before its context is watched.
	maxUnwatched = 50 * time.Millisecond
	// minUnwatched is how long it waits at least.
	minUnwatched = 20 * time.Millisecond
)

// remind makes the next read fail at some time from minUnwatched to maxUnwatched from
// now: without a timeout it is the reminder to watch the context. The requests of that
// time share one deadline, because setting it would cost each a microsecond.
func (x *canceler) remind() {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	if x.abortErr != nil || x.cause != nil || !x.readDeadlineSet && x.reminder.Sub(now) >= minUnwatched {
		return
	}
	x.readDeadlineSet, x.reminder = false, now.Add(maxUnwatched)
	x.nc.SetReadDeadline(x.reminder) //nolint:errcheck // if it is closed, the read fails
}

// setWriteTimeout sets the deadline of the next write to d from now; 0 is no
// deadline.
func (x *canceler) setWriteTimeout(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.abortErr != nil || x.cause != nil || x.writeDeadlineFixed || (d == 0 && !x.writeDeadlineSet) {
		return
	}
	x.writeDeadlineSet = d > 0
	x.nc.SetWriteDeadline(deadline(d)) //nolint:errcheck // if it is closed, the write fails
}

// limitWrites lets all further writes of the current use take d in total.
func (x *canceler) limitWrites(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writeDeadlineFixed = true
	if x.abortErr != nil || x.cause != nil {
		return
	}
	x.writeDeadlineSet = true
	x.nc.SetWriteDeadline(time.Now().Add(d)) //nolint:errcheck // if it is closed, the write fails
}

// extendWrites gives the writer of a streamed body writerGrace from now to end STDIN
// after a stop, unless the connection was given up.
func (x *canceler) extendWrites() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.abortErr == nil {
		x.expireLocked()
	}
}

// deadline returns the time d from now, or no deadline if d is 0.
func deadline(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
