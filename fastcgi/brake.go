package fastcgi

import (
	"net"
	"sync"
	"time"
)

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// canceler is what stops the I/O of a connection from another goroutine: it turns
// a cancelled context, a failed body or a dead process into deadlines, and
// keeps the deadlines of timeouts from undoing that.
//
// A stop belongs to one turn, which is one use of the connection, so that a
// cancellation that is late meets another turn and does nothing: there is no
// need to wait for a context.AfterFunc that is already running.
type canceler struct {
	nc net.Conn

	mu    sync.Mutex // guards what follows, and the calls of Set…Deadline
	turn  uint64
	final error // why the connection is given up for ever
	cause error // why this turn is
	soft  bool  // what has arrived may still be read
	hurry bool  // the deadline of writes stays as it is
	read  bool  // a read deadline is set
	write bool  // a write deadline is set
}

// begin opens a turn. It fails if the connection has been given up.
func (b *canceler) begin() (turn uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.final != nil {
		return 0, b.final
	}
	b.turn++
	return b.turn, nil
}

// end closes the turn and takes its deadlines off. It returns what stopped the
// connection for ever, if anything has.
func (b *canceler) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	b.cause, b.soft, b.hurry = nil, false, false
	if b.final == nil && (b.read || b.write) {
		b.nc.SetDeadline(time.Time{}) //nolint:errcheck // if it is closed, the next use tells
		b.read, b.write = false, false
	}
	return b.final
}

// stop gives the turn up. If soft is set, what has arrived may still be read.
func (b *canceler) stop(turn uint64, cause error, soft bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.turn != turn || b.cause != nil {
		return
	}
	b.cause, b.soft = cause, soft
	b.expireLocked()
}

// abort gives the connection up; the first cause counts.
func (b *canceler) abort(cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.final == nil {
		b.final = cause
		b.expireLocked()
	}
}

func (b *canceler) expireLocked() {
	b.read, b.write = true, true
	b.nc.SetDeadline(past) //nolint:errcheck // if it is closed, I/O has ended anyway
}

// stopped returns why I/O has been stopped, nil if it has not; soft says that
// what has arrived may still be read. A cancelled context outranks a dead
// process, because nobody waits for the answer any more.
func (b *canceler) stopped() (soft bool, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.cause != nil && !b.soft:
		return false, b.cause
	case b.final != nil:
		return true, b.final
	}
	return b.soft, b.cause
}

// readWithin sets the deadline of the next read; 0 is none.
func (b *canceler) readWithin(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.final != nil || b.cause != nil || (d == 0 && !b.read) {
		return
	}
	b.read = d > 0
	b.nc.SetReadDeadline(deadline(d)) //nolint:errcheck // if it is closed, the read tells
}

// writeWithin sets the deadline of the next write; 0 is none.
func (b *canceler) writeWithin(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.final != nil || b.cause != nil || b.hurry || (d == 0 && !b.write) {
		return
	}
	b.write = d > 0
	b.nc.SetWriteDeadline(deadline(d)) //nolint:errcheck // if it is closed, the write tells
}

// limitWrites gives all writes of this turn together no more than d.
func (b *canceler) limitWrites(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurry = true
	if b.final != nil || b.cause != nil {
		return
	}
	b.write = true
	b.nc.SetWriteDeadline(time.Now().Add(d)) //nolint:errcheck // if it is closed, the write tells
}

func deadline(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
