//go:build unix

package phpbin

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The socket has the name socketName in a directory whose name begins with
// dirPrefix and ownTag.
const (
	dirPrefix  = "php-pool-"
	socketName = "s"
)

// endpoint is a listening socket on which a php-cgi accepts connections.
type endpoint struct {
	socket *os.File // php-cgi's fd 0; closed here after its start
	path   string   // for connecting
	dir    string   // to be removed by close; empty after unlink
	handle *os.File // of the unlinked socket; path refers to it
}

// newEndpoint opens a listening socket for php-cgi. It listens before php-cgi runs,
// so that connecting waits instead of failing. The socket must be blocking, unlike
// those of net.ListenUnix: php-cgi does not poll before accept (main/fastcgi.c), so
// with a non-blocking one a single php-cgi exits without a message, and a master
// forks new children forever.
func newEndpoint(runtimeDir string, backlog int) (_ *endpoint, err error) {
	dir, err := os.MkdirTemp(runtimeDir, dirPrefix+ownTag()) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("creating a directory for the socket of php-cgi: %w", err)
	}
	e := &endpoint{dir: dir, path: filepath.Join(dir, socketName)}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if limit := len(unix.RawSockaddrUnix{}.Path) - 1; len(e.path) > limit {
		return nil, fmt.Errorf("the path of php-cgi's socket is too long: %s has %d bytes, and at most %d are allowed: "+
			"use a directory with a shorter path (RuntimeDir or TMPDIR)", e.path, len(e.path), limit)
	}
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	e.socket = os.NewFile(uintptr(fd), e.path)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: e.path}); err != nil {
		return nil, fmt.Errorf("binding the socket %s: %w", e.path, err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	e.unlink()
	return e, nil
}

// prepare makes cmd inherit the socket.
func (e *endpoint) prepare(cmd *exec.Cmd) { cmd.Stdin = e.socket }

// started closes our copy of the socket, so that connecting fails instead of
// waiting when php-cgi has exited.
func (e *endpoint) started() { _ = e.socket.Close() }

// dial connects. It may fail temporarily: on Linux with EAGAIN while the backlog is
// full.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", e.path)
}

func (e *endpoint) close() {
	if e.socket != nil {
		_ = e.socket.Close()
	}
	if e.handle != nil {
		_ = e.handle.Close()
	}
	if e.dir != "" {
		_ = os.Remove(e.path)
		_ = os.Remove(e.dir)
	}
}
