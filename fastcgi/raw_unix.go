//go:build unix

package fastcgi

import (
	"errors"
	"io"
	"syscall"
)

// tryRead is the callback of read. The sockets of package net are non-blocking.
func (x *rawConn) tryRead(fd uintptr) {
	x.received, x.err = x.peek.read(int(fd), x.in)
}

// writeRead writes out and reads the beginning of the answer into in, in one
// go. Package net would, after the write, first try a read that cannot succeed,
// because no application has answered yet; here the wait comes first. sent is
// less than len(out) if the socket did not take all of it: then nothing was read.
//
// No readiness is missed: the poller is reset before the write, and the answer
// cannot come before it. Nor is the end of the connection: either it comes
// after the reset as well, or the write fails.
func (x *rawConn) writeRead(out, in []byte) (sent, got int, err error) {
	x.out, x.in, x.sent, x.received, x.err = out, in, 0, 0, nil
	if err := x.rc.Read(x.writeReadFn); err != nil {
		x.err = err
	}
	x.out, x.in = nil, nil
	return x.sent, x.received, x.err
}

// tryWriteRead is the callback of exchange. It is called again, after a wait, as long
// as it returns false.
func (x *rawConn) tryWriteRead(fd uintptr) bool {
	if x.out != nil {
		x.sent, x.err = writeFD(int(fd), x.out)
		x.peek.drainIfNeeded(int(fd))
		whole := x.err == nil && x.sent == len(x.out)
		x.out = nil
		return !whole
	}
	x.received, x.err = x.peek.read(int(fd), x.in)
	if errors.Is(x.err, errWouldBlock) {
		x.err = nil
		return false
	}
	return true
}

func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == syscall.EAGAIN:
			return 0, errWouldBlock
		case err != syscall.EINTR:
			return 0, err
		}
	}
}

// writeFD writes what the socket takes at once, which may be nothing.
func writeFD(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, p)
		switch {
		case err == nil:
			return n, nil
		case err == syscall.EAGAIN:
			return 0, nil
		case err != syscall.EINTR:
			return 0, err
		}
	}
}

// closedByPeer reports whether err says that the peer has closed the connection.
func closedByPeer(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED)
}
