package phpbin

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bindDir is the directory in which php-cgi binds its socket, as it sees it: its
// fd 3, a handle of a directory within our private one. So the user of php-cgi needs
// no access to the path, however long it is, and nobody else has any.
//
// The name of the socket says which process had it made, and where: see socketName.
const bindDir = "/proc/self/fd/3"

// innerDir is the name of the directory in the private one.
const innerDir = "d"

// setPath creates the directory of the socket.
func (e *endpoint) setPath(o Options) error {
	inner := filepath.Join(e.dir, innerDir)
	if err := os.Mkdir(inner, 0o700); err != nil {
		return fmt.Errorf("creating a directory for the socket of php-cgi: %w", err)
	}
	if e.otherUser {
		if err := os.Chmod(inner, 0o777); err != nil { //nolint:gosec // only those who have the handle reach it
			return fmt.Errorf("creating a directory for the socket of php-cgi: %w", err)
		}
	}
	fd, err := unix.Open(inner, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: inner, Err: err}
	}
	if _, err := os.Stat(procPath(fd)); err != nil { // without /proc
		_ = unix.Close(fd)
		_ = os.Remove(inner)
		return e.setVisiblePath(o)
	}
	e.handle, e.bind = os.NewFile(uintptr(fd), inner), filepath.Join(bindDir, socketName(e.dir))
	return nil
}

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// findLocked opens the socket, once, and never follows a symbolic link: php-cgi's
// user could replace the socket by a link to one that only we may use.
func (e *endpoint) findLocked() error {
	if e.handle == nil {
		return e.findVisibleLocked()
	}
	fd, err := unix.Openat(int(e.handle.Fd()), filepath.Base(e.bind), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("openat", err)
	}
	_ = e.handle.Close()
	e.handle, e.path = os.NewFile(uintptr(fd), e.bind), procPath(fd)
	return nil
}
