package phpbin

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// unlink takes the socket out of the file system and keeps a handle on it: then
// there is nothing to remove when we end, however we do, and nothing that
// another process of our user could connect to by its path. Without /proc the
// directory stays until the end.
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
