package phpbin

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	// packetSize is PIPE_BUF, the most that a read of a pipe with O_DIRECT returns.
	packetSize = 4096
	// pipeSize is 64 packets, because each takes a page. The default of 16 would make
	// PHP wait more often. The kernel limits the sum for a user other than root to 64
	// MiB (pipe(7), pipe-user-pages-soft).
	pipeSize = 64 * packetSize
)

// outputPipe opens a pipe in which every write stays a unit (O_DIRECT, pipe(2)).
// Where the kernel has no such pipes (gVisor), it opens an ordinary one.
func outputPipe() (r, w *os.File, packets bool, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_DIRECT); err != nil {
		r, w, err = os.Pipe()
		return r, w, false, err
	}
	_ = unix.SetNonblock(p[0], true) // Go's netpoller reads it; the writers must block
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, pipeSize)
	return os.NewFile(uintptr(p[0]), "|0"), os.NewFile(uintptr(p[1]), "|1"), true, nil
}
