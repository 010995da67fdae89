package fastcgi

import (
	"net"
	"sync"
	"time"
)

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// canceler is what stops the I/O of a connection from another goroutine: it turns
// a cancelled context, a failed body or a dead process into deadlines, and
// keeps the deadlines of timeouts from undoing that.
//
// A stop belongs to one turn, which is one use of the connection, so that a
// cancellation that is late meets another turn and does nothing: there is no
// need to wait for a context.AfterFunc that is already running.
type canceler struct {
	nc net.Conn

	mu                 sync.Mutex // guards what follows, and the calls of Set…Deadline
	useID              uint64
	abortErr           error // why the connection is given up for ever
	cause              error // why this turn is
	allowReads         bool  // what has arrived may still be read
	writeDeadlineFixed bool  // the deadline of writes stays as it is
	readDeadlineSet    bool  // a read deadline is set
	writeDeadlineSet   bool  // a write deadline is set
}

// acquire opens a turn. It fails if the connection has been given up.
func (b *canceler) begin() (useID uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abortErr != nil {
		return 0, b.abortErr
	}
	b.useID++
	return b.useID, nil
}

// end closes the turn and takes its deadlines off. It returns what stopped the
// connection for ever, if anything has.
func (b *canceler) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.useID++
	b.cause, b.allowReads, b.writeDeadlineFixed = nil, false, false
	if b.abortErr == nil && (b.readDeadlineSet || b.writeDeadlineSet) {
		b.nc.SetDeadline(time.Time{}) //nolint:errcheck // if it is closed, the next use tells
		b.readDeadlineSet, b.writeDeadlineSet = false, false
	}
	return b.abortErr
}

// stop gives the turn up. If soft is set, what has arrived may still be read.
func (b *canceler) stop(useID uint64, cause error, allowReads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.useID != useID || b.cause != nil {
		return
	}
	b.cause, b.allowReads = cause, allowReads
	b.expireLocked()
}

// abort gives the connection up; the first cause counts.
func (b *canceler) abort(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abortErr == nil {
		b.abortErr = cause
		b.expireLocked()
	}
}

func (b *canceler) expireLocked() {
	b.readDeadlineSet, b.writeDeadlineSet = true, true
	b.nc.SetDeadline(aLongTimeAgo) //nolint:errcheck // if it is closed, I/O has ended anyway
}

// stopped returns why I/O has been stopped, nil if it has not; soft says that
// what has arrived may still be read. A cancelled context outranks a dead
// process, because nobody waits for the answer any more.
func (b *canceler) stopped() (allowReads bool, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.cause != nil && !b.allowReads:
		return false, b.cause
	case b.abortErr != nil:
		return true, b.abortErr
	}
	return b.allowReads, b.cause
}

// setReadTimeout sets the deadline of the next read; 0 is none.
func (b *canceler) setReadTimeout(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abortErr != nil || b.cause != nil || (d == 0 && !b.readDeadlineSet) {
		return
	}
	b.readDeadlineSet = d > 0
	b.nc.SetReadDeadline(deadline(d)) //nolint:errcheck // if it is closed, the read tells
}

// setWriteTimeout sets the deadline of the next write; 0 is none.
func (b *canceler) setWriteTimeout(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.abortErr != nil || b.cause != nil || b.writeDeadlineFixed || (d == 0 && !b.writeDeadlineSet) {
		return
	}
	b.writeDeadlineSet = d > 0
	b.nc.SetWriteDeadline(deadline(d)) //nolint:errcheck // if it is closed, the write tells
}

// limitWrites gives all writes of this turn together no more than d.
func (b *canceler) limitWrites(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writeDeadlineFixed = true
	if b.abortErr != nil || b.cause != nil {
		return
	}
	b.writeDeadlineSet = true
	b.nc.SetWriteDeadline(time.Now().Add(d)) //nolint:errcheck // if it is closed, the write tells
}

func deadline(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
