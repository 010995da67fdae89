package fastcgi

import (
	"errors"
	"io"
	"net"
	"syscall"
	"unsafe"
)

var wsaPoll = syscall.NewLazyDLL("ws2_32.dll").NewProc("WSAPoll")

// pollRead is POLLRDNORM: bytes have arrived, or the connection has ended.
const pollRead = 0x0100

// pollFD is WSAPOLLFD.
type pollFD struct {
	socket  syscall.Handle
	events  int16
	revents int16
}

// peeker does nothing: SO_PEEK_OFF exists on Linux only.
type peeker struct{ peekedBytes int }

func (*peeker) init(net.Conn, syscall.RawConn) {}

func (*peeker) drain(int) {}

// tryRead is the callback of read. The sockets of package net are blocking on
// Windows, so it polls before it reads.
func (x *rawConn) tryRead(fd uintptr) {
	x.received, x.err = 0, errWouldBlock
	p := pollFD{socket: syscall.Handle(fd), events: pollRead}
	n, _, errno := wsaPoll.Call(uintptr(unsafe.Pointer(&p)), 1, 0)
	switch int32(n) {
	case 0:
		return
	case -1:
		x.err = errno
		return
	}
	buf := syscall.WSABuf{Len: uint32(len(x.in)), Buf: &x.in[0]}
	var got, flags uint32
	if err := syscall.WSARecv(p.socket, &buf, 1, &got, &flags, nil, nil); err != nil {
		x.err = err
		return
	}
	x.received, x.err = int(got), nil
	if got == 0 {
		x.err = io.EOF
	}
}

// tryWriteRead is not used: see writeRead.
func (x *rawConn) tryWriteRead(uintptr) bool { return true }

// writeRead sends nothing, so that the caller writes the request and reads the
// response with package net.
func (x *rawConn) writeRead(_, _ []byte) (sent, got int, err error) { return 0, 0, nil }

// closedByPeer reports whether err means that the peer has closed the connection.
func closedByPeer(err error) bool {
	return errors.Is(err, syscall.WSAECONNRESET) || errors.Is(err, syscall.WSAECONNABORTED)
}
