package fastcgi

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// maxPeek is the largest response, in bytes, that is left in the socket
	// buffer: to copy a larger one twice costs more than it saves. We only learn
	// that a response is large after copying it, so after one large response we
	// expect the next to be large too.
	maxPeek = 2 << 10

	// maxPeekedBytes and maxPeekedCount limit what is left in the socket buffer.
	// The sender may have 208 KB in flight (net.core.wmem_default), and each
	// response occupies at least 1 KB of that.
	maxPeekedBytes, maxPeekedCount = 16 << 10, 32
)

// peeker reads short responses with MSG_PEEK, which leaves them in the socket
// buffer, and removes many of them at once later.
//
// When bytes are removed from a unix socket the kernel tells the sender that it
// may write again (unix_write_space in net/unix/af_unix.c), and wakes it even if
// it only waits to read. With peeking, PHP is woken once for each request.
//
// A worker script waits in poll(2), which that does not wake, so [NewWorkerConn] does not
// peek: each READY would need a drain.
type peeker struct {
	enabled     bool // the socket supports SO_PEEK_OFF
	expectLarge bool // the next response is probably large; peekedBytes is then 0
	peekedBytes int  // bytes that were read and are still in the socket buffer
	peekedCount int  // number of reads that returned them
}

// init makes MSG_PEEK continue where the last read ended (SO_PEEK_OFF, which unix
// sockets have since Linux 3.4).
func (x *peeker) init(nc net.Conn, rc syscall.RawConn) {
	if _, ok := nc.(*net.UnixConn); !ok || rc == nil {
		return
	}
	err := rc.Control(func(fd uintptr) {
		x.enabled = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0) == nil
	})
	x.enabled = x.enabled && err == nil
}

// read reads what has arrived since the last read. It returns errWouldBlock if
// nothing has.
func (x *peeker) read(fd int, p []byte) (int, error) {
	if !x.enabled || x.expectLarge {
		n, err := readFD(fd, p)
		if n > 0 {
			x.expectLarge = n > maxPeek
		}
		return n, err
	}
	for {
		n, errno := quickIO(unix.SYS_RECVFROM, fd, p, unix.MSG_PEEK)
		switch {
		case errno == 0 && n > 0:
			peeked()
			x.peekedBytes += n
			if x.peekedCount++; n > maxPeek {
				x.drain(fd)
				x.expectLarge = true
			}
			return n, nil
		case errno == 0:
			return 0, io.EOF
		case errno == unix.EAGAIN:
			return 0, errWouldBlock
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}

// drainIfNeeded removes the peeked bytes if there are many. It is called when a
// request has just been sent, because the peer is awake then anyway.
func (x *peeker) drainIfNeeded(fd int) {
	if x.peekedBytes > maxPeekedBytes || x.peekedCount >= maxPeekedCount {
		x.drain(fd)
	}
}

// drain removes the peeked bytes from the socket buffer.
func (x *peeker) drain(fd int) {
	buf := buffers.Get().(*[bufferSize]byte) //nolint:forcetypeassert // the pool has nothing else
	defer buffers.Put(buf)
	for x.peekedBytes > 0 {
		n, err := readFD(fd, buf[:min(x.peekedBytes, len(buf))])
		if err != nil {
			break // the connection has failed: so will the next read
		}
		x.peekedBytes -= n
	}
	x.peekedBytes, x.peekedCount = 0, 0
}
