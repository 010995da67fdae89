package phpbin

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// unlink removes the socket from the file system and keeps a handle by which we can
// connect. So nothing is left behind if we are killed, and no other process of our
// user can connect by the path. Without /proc the socket stays until close.
func (e *endpoint) unlink() {
	fd, err := unix.Open(e.path, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	through := fmt.Sprintf("/proc/self/fd/%d", fd)
	if _, err := os.Stat(through); err != nil {
		_ = unix.Close(fd)
		return
	}
	e.handle = os.NewFile(uintptr(fd), e.path)
	_ = os.Remove(e.path)
	_ = os.Remove(e.dir)
	e.path, e.dir = through, ""
}
