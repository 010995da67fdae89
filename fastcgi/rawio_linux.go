package fastcgi

import (
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quickIO makes a system call on a nonblocking socket without telling Go's scheduler,
// which would pass the thread's goroutines on to another thread if the peer that is woken
// takes the CPU before the call returns. flags is for those calls that have some.
func quickIO(call uintptr, fd int, p []byte, flags uintptr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// readFD reads what has arrived. It returns errWouldBlock if nothing has.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, errno := socketIO(unix.SYS_READ, fd, p)
		switch {
		case n > 0:
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

// writeFD writes as much of p as fits into the socket buffer, which may be
// nothing.
func writeFD(fd int, p []byte) (int, error) {
	for {
		n, errno := socketIO(unix.SYS_WRITE, fd, p)
		switch {
		case errno == 0:
			return n, nil
		case errno == unix.EAGAIN:
			return 0, nil
		case errno != unix.EINTR:
			return 0, errno
		}
	}
}
