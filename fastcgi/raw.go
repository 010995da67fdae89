package fastcgi

import (
	"errors"
	"net"
	"syscall"
)

// errWouldBlock says that nothing has arrived.
var errWouldBlock = errors.New("fastcgi: nothing to read yet")

// wireStart reads and writes a socket without waiting. The callbacks that
// syscall.RawConn wants are made once, and speak with their caller through the
// fields, because closures made per call would be allocated per call.
//
// A connection that is no socket, as net.Pipe, has none of it: ok is false.
type rawConn struct {
	rc syscall.RawConn

	in, out        []byte
	received, sent int
	err            error
	oneByte        [1]byte

	peek peeker

	readFn      func(fd uintptr)
	writeReadFn func(fd uintptr) bool
	drainFn     func(fd uintptr)
}

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
	x.peek.init(nc, rc)
}

func (x *rawConn) available() bool { return x.rc != nil }

// readDeadlineSet reads what has arrived, without waiting and without regard to
// deadlines. It returns errWouldBlock if that is nothing.
func (x *rawConn) read(p []byte) (int, error) {
	x.in, x.received, x.err = p, 0, nil
	// Control, unlike Read, does not fail when the deadline has passed.
	if err := x.rc.Control(x.readFn); err != nil {
		x.err = err
	}
	x.in = nil
	return x.received, x.err
}

// drain takes off the socket what has been read and left there, so that package
// net can read on.
func (x *rawConn) drain() {
	if x.peek.peekedBytes > 0 {
		x.rc.Control(x.drainFn) //nolint:errcheck // if it is closed, the read tells
	}
}
