//go:build race

package fastcgi

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketIO makes the system call by package syscall, which tells the race detector that a
// read comes after the write of what it reads.
func socketIO(call uintptr, fd int, p []byte) (int, unix.Errno) {
	transfer := syscall.Read
	if call == unix.SYS_WRITE {
		transfer = syscall.Write
	}
	n, err := transfer(fd, p)
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // the type that package syscall returns
		return 0, errno
	}
	return n, 0
}

// zero is always readable. The mutex is for the byte that is read.
var (
	zero, _ = syscall.Open("/dev/zero", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	zeroMu  sync.Mutex
	zeroed  [1]byte
)

// peeked tells the race detector that what was received without being taken comes after
// its write. Package syscall says so of each read of anything, but not of recvfrom(2).
func peeked() {
	zeroMu.Lock()
	defer zeroMu.Unlock()
	_, _ = syscall.Read(zero, zeroed[:]) // nothing else can happen than success
}
