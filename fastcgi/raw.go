package fastcgi

import (
	"errors"
	"net"
	"syscall"
)

// errWouldBlock means that nothing has arrived.
var errWouldBlock = errors.New("fastcgi: nothing to read yet")

// rawConn reads and writes a socket without blocking. The callbacks for
// syscall.RawConn are created once and exchange arguments and results with their
// caller through fields, because a closure for each call would be an allocation.
//
// It is not available for connections that are not sockets, as net.Pipe.
type rawConn struct {
	rc syscall.RawConn

	in, out        []byte
	received, sent int
	err            error
	oneByte        [1]byte

	peek peeker

	written func() // is called when all of out was written; may be nil

	readFn      func(fd uintptr)
	writeReadFn func(fd uintptr) bool
	drainFn     func(fd uintptr)
}

// init makes x available if nc is a socket.
func (x *rawConn) init(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return
	}
	x.rc = rc
	x.readFn = x.tryRead
	x.writeReadFn = x.tryWriteRead
	x.drainFn = func(fd uintptr) { x.peek.drain(int(fd)) }
}

// available reports whether the other methods may be called.
func (x *rawConn) available() bool { return x.rc != nil }

// read reads what has arrived, without blocking and regardless of deadlines. It
// returns errWouldBlock if nothing has.
func (x *rawConn) read(p []byte) (int, error) {
	x.in, x.received, x.err = p, 0, nil
	// Unlike Read, Control does not fail if the deadline has passed.
	if err := x.rc.Control(x.readFn); err != nil {
		x.err = err
	}
	x.in = nil
	return x.received, x.err
}

// drain removes peeked bytes from the socket buffer, so that package net reads
// what follows them. It does nothing if x is not available.
func (x *rawConn) drain() {
	if x.peek.peekedBytes > 0 {
		x.rc.Control(x.drainFn) //nolint:errcheck // if it is closed, the read fails
	}
}
