//go:build unix

package fastcgi

import (
	"errors"
	"syscall"
)

// tryRead is the callback of read. The sockets of package net are nonblocking.
func (x *rawConn) tryRead(fd uintptr) {
	x.received, x.err = x.peek.read(int(fd), x.in)
}

// writeRead writes out, waits, and reads the beginning of the response into in.
// Package net would try to read right after the write, which cannot succeed yet,
// before it waits. If sent is less than len(out), the socket buffer was full, and
// nothing was read.
//
// No event is missed, because the poller is reset before the write. The response
// comes after the write. If the connection was closed before the reset, the write
// fails.
func (x *rawConn) writeRead(out, in []byte) (sent, got int, err error) {
	x.out, x.in, x.sent, x.received, x.err = out, in, 0, 0, nil
	if err := x.rc.Read(x.writeReadFn); err != nil {
		x.err = err
	}
	x.out, x.in = nil, nil
	return x.sent, x.received, x.err
}

// tryWriteRead is the callback of writeRead. If it returns false, it is called
// again when the socket is readable.
func (x *rawConn) tryWriteRead(fd uintptr) bool {
	if x.out != nil {
		x.sent, x.err = writeFD(int(fd), x.out)
		x.peek.drainIfNeeded(int(fd))
		whole := x.err == nil && x.sent == len(x.out)
		x.out = nil
		if whole && x.written != nil {
			x.written()
		}
		return !whole
	}
	x.received, x.err = x.peek.read(int(fd), x.in)
	if errors.Is(x.err, errWouldBlock) {
		x.err = nil
		return false
	}
	return true
}

// closedByPeer reports whether err means that the peer has closed the connection.
func closedByPeer(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED)
}
