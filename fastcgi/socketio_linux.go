//go:build !race

package fastcgi

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxQuick limits the bytes of a system call by quickIO: copying more takes longer than a
// thread should be missing.
const maxQuick = 16 << 10

// socketIO makes the system call by quickIO if p is small.
func socketIO(call uintptr, fd int, p []byte) (int, unix.Errno) {
	if len(p) <= maxQuick {
		return quickIO(call, fd, p, 0)
	}
	n, _, errno := unix.Syscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// peeked is called after data was received without being taken.
func peeked() {}
