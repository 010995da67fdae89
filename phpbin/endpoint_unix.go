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

// The socket is socketName in a directory that begins with dirPrefix. What
// follows names us: see mark.
const (
	dirPrefix  = "php-pool-"
	socketName = "s"
)

// endpoint is a listening socket that a php-cgi accepts on, and how we reach it.
type endpoint struct {
	socket *os.File // php-cgi's fd 0; closed here once it has it
	path   string   // where to connect
	dir    string   // what to remove at the end; empty if nothing is left on disk
	handle *os.File // what path goes through, if dir is empty
}

// newEndpoint opens a socket for php-cgi to accept on. It listens before
// php-cgi runs, so that who connects waits instead of failing. The socket must
// block: with one that does not, accept fails at once in php-cgi, a single one
// exits without a word and a master forks new children for ever (main/fastcgi.c
// does not poll before accept). net.ListenUnix makes one that does not.
func newEndpoint(runtimeDir string, backlog int) (_ *endpoint, err error) {
	dir, err := os.MkdirTemp(runtimeDir, dirPrefix+ownTag()) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("making a directory for the socket of php-cgi: %w", err)
	}
	e := &endpoint{dir: dir, path: filepath.Join(dir, socketName)}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if most := len(unix.RawSockaddrUnix{}.Path) - 1; len(e.path) > most {
		return nil, fmt.Errorf("the socket of php-cgi would be %s, of %d bytes, and the system allows %d: "+
			"use a directory with a shorter name (RuntimeDir, or else TMPDIR)", e.path, len(e.path), most)
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

// prepare makes cmd the one that accepts.
func (e *endpoint) prepare(cmd *exec.Cmd) { cmd.Stdin = e.socket }

// started gives up our copy of the socket, so that connecting fails once
// php-cgi has gone, instead of waiting for it.
func (e *endpoint) started() { _ = e.socket.Close() }

// dial connects. It may fail for a moment: on Linux with EAGAIN while the
// backlog is full.
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
