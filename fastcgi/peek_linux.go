package fastcgi

import (
	"io"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxPeek is the largest answer that is left in the socket: a larger one
	// would cost more to copy twice than what is gained. That it is larger shows
	// when it has been copied once, so behind a large answer another is expected.
	maxPeek = 2 << 10

	// So much may be left there before it is taken: much less than the 208 KB
	// that the other end may have under way, of which each answer takes 1 KB.
	maxPeekedBytes, maxPeekedCount = 16 << 10, 32
)

// peeker reads short answers without taking them off the socket, which is done
// later for many at once.
//
// Taking bytes off a unix socket tells the other end that it may write again
// (unix_write_space in net/unix/af_unix.c), and wakes it even if it only waits
// to read: without this PHP is woken 1.7 times for each request instead of
// once, and the machine has 5 % more work with a hello world.
type peeker struct {
	enabled     bool // the socket can do it
	expectLarge bool // the next answer is expected to be large; nothing is owed then
	peekedBytes int  // bytes that have been read and are still in the socket
	peekedCount int  // how many answers these are
}

// init makes the socket remember how far has been read (SO_PEEK_OFF: unix
// sockets have it since Linux 3.4).
func (x *peeker) init(nc net.Conn, rc syscall.RawConn) {
	if _, ok := nc.(*net.UnixConn); !ok {
		return
	}
	err := rc.Control(func(fd uintptr) {
		x.enabled = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0) == nil
	})
	x.enabled = x.enabled && err == nil
}

// readDeadlineSet reads what has arrived since the last read.
func (x *peeker) read(fd int, p []byte) (int, error) {
	if !x.enabled || x.expectLarge {
		n, err := readFD(fd, p)
		if n > 0 {
			x.expectLarge = n > maxPeek
		}
		return n, err
	}
	for {
		// unix.Recvfrom would make up the address of the other end, on the heap.
		r, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_PEEK, 0, 0)
		n := int(r)
		switch {
		case errno == 0 && n > 0:
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

// drainIfNeeded takes what was left if it is much. It is called when a request has
// been sent, since the other end is awake then.
func (x *peeker) drainIfNeeded(fd int) {
	if x.peekedBytes > maxPeekedBytes || x.peekedCount >= maxPeekedCount {
		x.drain(fd)
	}
}

// drain takes what was left.
func (x *peeker) drain(fd int) {
	buf := buffers.Get().(*[bufferSize]byte) //nolint:forcetypeassert // the pool has nothing else
	defer buffers.Put(buf)
	for x.peekedBytes > 0 {
		n, err := readFD(fd, buf[:min(x.peekedBytes, len(buf))])
		if err != nil {
			break // it is lost: the next read tells
		}
		x.peekedBytes -= n
	}
	x.peekedBytes, x.peekedCount = 0, 0
}
