package fastcgi

import (
	"errors"
	"net"
	"syscall"
)

// errWouldBlock says that nothing has arrived.
var errWouldBlock = errors.New("fastcgi: nothing to read yet")

// raw reads and writes a socket without waiting. The callbacks that
// syscall.RawConn wants are made once, and speak with their caller through the
// fields, because closures made per call would be allocated per call.
//
// A connection that is no socket, as net.Pipe, has none of it: ok is false.
type raw struct {
	rc syscall.RawConn

	in, out   []byte
	got, sent int
	err       error
	one       [1]byte

	peek peeker

	tryFn   func(fd uintptr)
	tradeFn func(fd uintptr) bool
	takeFn  func(fd uintptr)
}

func (x *raw) init(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return
	}
	x.rc = rc
	x.tryFn = x.try
	x.tradeFn = x.tryWriteRead
	x.takeFn = func(fd uintptr) { x.peek.take(int(fd)) }
	x.peek.init(nc, rc)
}

func (x *raw) ok() bool { return x.rc != nil }

// read reads what has arrived, without waiting and without regard to
// deadlines. It returns errWouldBlock if that is nothing.
func (x *raw) read(p []byte) (int, error) {
	x.in, x.got, x.err = p, 0, nil
	// Control, unlike Read, does not fail when the deadline has passed.
	if err := x.rc.Control(x.tryFn); err != nil {
		x.err = err
	}
	x.in = nil
	return x.got, x.err
}

// take takes off the socket what has been read and left there, so that package
// net can read on.
func (x *raw) take() {
	if x.peek.owed > 0 {
		x.rc.Control(x.takeFn) //nolint:errcheck // if it is closed, the read tells
	}
}
