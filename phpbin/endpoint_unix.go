//go:build unix

package phpbin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dirPrefix is how the names of socket directories begin; ownTag follows.
const dirPrefix = "php-pool-"

// endpoint is the socket on which a php-cgi listens. php-cgi opens it itself (-b): if
// it inherited the socket, it would have to be its fd 0 (main/fastcgi.c), and then
// also that of all programs that scripts start. They could read no stdin, and a
// php-cgi among them would serve FastCGI.
type endpoint struct {
	bind      string // the path for php-cgi's -b
	otherUser bool   // php-cgi runs as another user

	mu     sync.Mutex
	dir    string   // with mode 0700; "" when it has been removed
	path   string   // for connecting
	handle *os.File // to which path refers; nil where it is the path of the file
	bound  bool     // handle is the socket; before that, the directory it will be in
	closed bool
}

// newEndpoint creates a private directory for the socket. tag is that of the launcher.
func newEndpoint(o Options, tag string) (*endpoint, error) {
	dir, err := os.MkdirTemp(o.RuntimeDir, dirPrefix+tag) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("creating a directory for the socket of php-cgi: %w", err)
	}
	e := &endpoint{dir: dir, otherUser: o.Credential != nil}
	if err := e.setPath(o); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// setVisiblePath lets php-cgi bind a path in the file system. The directory then
// belongs to the user of php-cgi.
func (e *endpoint) setVisiblePath(o Options) error {
	path, err := filepath.Abs(filepath.Join(e.dir, "s"))
	if err != nil {
		return err
	}
	e.path, e.bind = path, path
	if limit := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > limit {
		return fmt.Errorf("the path of php-cgi's socket is too long: %s has %d bytes, and at most %d are allowed: "+
			"use a directory with a shorter path (RuntimeDir or TMPDIR)", path, len(path), limit)
	}
	if strings.Contains(path, ":") { // php-cgi would take it for HOST:PORT
		return fmt.Errorf("the path of php-cgi's socket contains a colon: %s: use another directory (RuntimeDir or TMPDIR)", path)
	}
	if c := o.Credential; c != nil {
		if err := os.Chown(e.dir, int(c.UID), int(c.GID)); err != nil {
			return fmt.Errorf("giving the directory of php-cgi's socket to its user: %w", err)
		}
	}
	return nil
}

// prepare makes cmd listen.
func (e *endpoint) prepare(cmd *exec.Cmd) {
	cmd.Args = append(cmd.Args, "-b", e.bind)
	if e.handle != nil {
		cmd.ExtraFiles = []*os.File{e.handle} // fd 3: see bindDir
	}
}

const (
	// php-cgi listens some 30 ms after its start. Looking for its socket costs a
	// few microseconds.
	bindPoll    = 500 * time.Microsecond
	maxBindPoll = 20 * time.Millisecond
)

// dial waits until php-cgi listens, and connects. It may fail temporarily: on Linux
// with EAGAIN while the backlog is full.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	for start := time.Now(); ; {
		conn, err := e.dialOnce(ctx)
		// The socket does not exist yet, or is bound and does not listen yet.
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ECONNREFUSED) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(min(maxBindPoll, max(bindPoll, time.Since(start)/50))):
		}
	}
}

// dialOnce holds the mutex, so that close cannot make room for another file at the
// number of the handle. Connecting to a unix socket does not wait.
func (e *endpoint) dialOnce(ctx context.Context) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, os.ErrClosed
	}
	if !e.bound {
		if err := e.findLocked(); err != nil {
			return nil, err
		}
		e.bound = true
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", e.path)
	if err == nil && e.handle != nil {
		e.removeLocked() // connecting goes on through the handle
	}
	return conn, err
}

// findVisibleLocked looks for a socket in the file system, and takes the directory
// back from the user of php-cgi, whose processes could replace the socket by a symbolic
// link to one that only we may use.
func (e *endpoint) findVisibleLocked() error {
	info, err := os.Lstat(e.path)
	if err != nil {
		return err
	}
	if e.otherUser {
		err := os.Chown(e.dir, os.Getuid(), os.Getgid())
		if err == nil {
			info, err = os.Lstat(e.path)
		}
		if err != nil {
			return err
		}
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is not a socket but %v", e.path, info.Mode())
	}
	return nil
}

// removeLocked removes the directory and what php-cgi has made in it.
func (e *endpoint) removeLocked() {
	if e.dir != "" {
		_ = os.RemoveAll(e.dir)
		e.dir = ""
	}
}

func (e *endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.removeLocked()
	if e.handle != nil {
		_ = e.handle.Close()
		e.handle = nil
	}
}
