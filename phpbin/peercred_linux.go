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
// 6.5. Older kernels refuse the option, and we open the pidfd ourselves.
const (
	soPassPidfd = 76
	scmPidfd    = 4
)

// peer is the process that wrote what we read during a handshake. SO_PEERCRED
// cannot tell: it names whoever called listen, which is us.
type peer struct {
	conn  *net.UnixConn
	pid   int
	pidfd int // -1 unless the kernel gave one
}

// identify prepares conn, before anything is sent on it, to tell who answers.
// The answer is to be read through the connection returned.
func withPeerCredentials(conn net.Conn) (net.Conn, *peer, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of type %T does not tell who answers", conn)
	}
	p := &peer{conn: unixConn, pidfd: -1}
	if err := p.setPassCredentials(1); err != nil {
		return nil, nil, err
	}
	return &credentialsConn{Conn: conn, peer: p}, p, nil
}

// ask switches the credentials on or off.
func (p *peer) setPassCredentials(on int) error {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, on)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, soPassPidfd, on)
	})
	if err == nil && set != nil {
		err = os.NewSyscallError("setsockopt(SO_PASSCRED)", set)
	}
	return err
}

// settle ends the asking; the connection is an ordinary one from now on.
func (p *peer) finish() error {
	if err := p.setPassCredentials(0); err != nil {
		return err
	}
	if p.pid == 0 {
		return errors.New("the process that answered is not visible here, it lives in another pid namespace")
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

// watch makes of the peer a process to watch.
func (p *peer) watch() (*child, error) {
	fd := p.pidfd
	p.pidfd = -1
	return watchPidfd(p.pid, fd, nil)
}

// kill ends the peer.
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

// credentialsConn reads with each piece of data the credentials of its sender.
type credentialsConn struct {
	net.Conn
	peer *peer
	oob  [128]byte
}

func (c *credentialsConn) Read(b []byte) (int, error) {
	n, oobn, _, _, err := c.peer.conn.ReadMsgUnix(b, c.oob[:]) // close-on-exec by Go
	if err != nil {
		return n, err
	}
	messages, err := syscall.ParseSocketControlMessage(c.oob[:oobn])
	if err != nil {
		return n, fmt.Errorf("reading who answered: %w", err)
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
