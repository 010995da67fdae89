package fastcgi

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// halfClosed reports whether a read has ended with err because the web server has
// closed its half of the connection only. That shows on Unix sockets; over TCP both
// look the same.
func halfClosed(nc net.Conn, err error) bool {
	if _, ok := nc.(*net.UnixConn); !ok || !errors.Is(err, io.EOF) {
		return false
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	half := false
	raw.Control(func(fd uintptr) { //nolint:errcheck // then it is not half closed
		p := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(p, 0)
		half = err == nil && p[0].Revents&(unix.POLLHUP|unix.POLLERR) == 0
	})
	return half
}
