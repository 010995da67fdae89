package fastcgi

import (
	"errors"
	"io"
	"net"
	"syscall"
	"unsafe"
)

var wsaPoll = syscall.NewLazyDLL("ws2_32.dll").NewProc("WSAPoll")

// pollRead is POLLRDNORM, the event that WSAPoll knows for arrived bytes and
// for the end of the connection.
const pollRead = 0x0100

// pollFD is WSAPOLLFD.
type pollFD struct {
	socket  syscall.Handle
	events  int16
	revents int16
}

// peeker is for Linux.
type peeker struct{ peekedBytes int }

func (*peeker) init(net.Conn, syscall.RawConn) {}

func (*peeker) drain(int) {}

// tryRead is the callback of read. Sockets of package net are blocking ones on
// Windows, so it asks first whether a read would wait.
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

// tryWriteRead is not used: see exchange.
func (x *rawConn) tryWriteRead(uintptr) bool { return true }

// writeRead does nothing, and so leaves it to package net to write the request
// and to wait for the answer.
func (x *rawConn) writeRead(_, _ []byte) (sent, got int, err error) { return 0, 0, nil }

// closedByPeer reports whether err says that the peer has closed the connection.
func closedByPeer(err error) bool {
	return errors.Is(err, syscall.WSAECONNRESET) || errors.Is(err, syscall.WSAECONNABORTED)
}
