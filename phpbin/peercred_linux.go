package phpbin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Not yet in x/sys: include/uapi/asm-generic/socket.h and linux/socket.h, Linux
// 6.5. On older kernels, which reject the option, finish opens the pidfd.
const (
	soPassPidfd = 76
	scmPidfd    = 4
)

// peer is the process that responded to a handshake. SO_PEERCRED does not
// identify it: it names the process that called listen, which is this one.
type peer struct {
	conn  *net.UnixConn
	pid   int
	pidfd int // -1 if none
}

// withPeerCredentials makes the kernel send the credentials of the peer with its
// data. The response must be read from the returned connection. Call it before
// anything is sent on conn.
func withPeerCredentials(conn net.Conn) (net.Conn, *peer, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("cannot identify the peer of a %T", conn)
	}
	p := &peer{conn: unixConn, pidfd: -1}
	if err := p.setPassCredentials(1); err != nil {
		return nil, nil, err
	}
	return &credentialsConn{Conn: conn, peer: p}, p, nil
}

// setPassCredentials enables (1) or disables (0) the credentials.
func (p *peer) setPassCredentials(on int) error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, on)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, soPassPidfd, on)
	})
	if err == nil && setErr != nil {
		err = os.NewSyscallError("setsockopt(SO_PASSCRED)", setErr)
	}
	return err
}

// finish disables the credentials again and makes sure that p has a pidfd.
func (p *peer) finish() error {
	if err := p.setPassCredentials(0); err != nil {
		return err
	}
	if p.pid == 0 {
		return errors.New("php-cgi runs in another pid namespace, so its pid is unknown")
	}
	if p.pidfd < 0 {
		fd, err := unix.PidfdOpen(p.pid, 0)
		if err != nil {
			return os.NewSyscallError("pidfd_open", err)
		}
		p.pidfd = fd
	}
	return nil
}

// watch begins to watch the peer. It takes over the pidfd.
func (p *peer) watch() (*child, error) {
	fd := p.pidfd
	p.pidfd = -1
	return watchPidfd(p.pid, fd, nil)
}

func (p *peer) kill() {
	if p.pidfd >= 0 {
		_ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0)
	}
}

func (p *peer) close() {
	if p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
		p.pidfd = -1
	}
}

// credentialsConn stores the credentials that come with the data it reads in peer.
type credentialsConn struct {
	net.Conn
	peer *peer
	oob  [128]byte
}

func (c *credentialsConn) Read(b []byte) (int, error) {
	n, oobn, _, _, err := c.peer.conn.ReadMsgUnix(b, c.oob[:]) // Go sets close-on-exec
	if err != nil {
		return n, err
	}
	messages, err := syscall.ParseSocketControlMessage(c.oob[:oobn])
	if err != nil {
		return n, fmt.Errorf("reading the credentials of php-cgi: %w", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level != unix.SOL_SOCKET:
		case m.Header.Type == unix.SCM_CREDENTIALS:
			if cred, err := syscall.ParseUnixCredentials(&m); err == nil {
				c.peer.pid = int(cred.Pid)
			}
		case m.Header.Type == scmPidfd && len(m.Data) >= 4:
			c.peer.close()
			c.peer.pidfd = int(int32(binary.NativeEndian.Uint32(m.Data)))
		}
	}
	return n, nil
}

// peerPID returns the process that has opened a connection to us; 0 if it is unknown.
func peerPID(conn net.Conn) int {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
