package phpstack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket tells the remote address of a socket by its inode.
func (w *waitReader) describeSocket(inode string) string {
	number, err := strconv.ParseUint(inode, 10, 64)
	if err != nil {
		return "socket"
	}
	if to := w.unixPeer(number); to != "" {
		return to
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		if to := lookupRemote(fmt.Sprintf("/proc/%d/net/%s", w.pid, table), inode); to != "" {
			return to
		}
	}
	return "socket"
}

// maxTable is how much is read of a table of sockets, which has 150 bytes for
// each of the whole system: 28,000 of them.
const maxTable = 4 << 20

// inTable finds the remote address of a socket in /proc/PID/net/tcp and the like
// (proc_tcp(5)). It is there before the connection is.
func lookupRemote(path, inode string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	return findRemote(f, inode)
}

func findRemote(table io.Reader, inode string) string {
	wanted := []byte(" " + inode + " ")
	lines := bufio.NewScanner(table)
	for read := 0; read < maxTable && lines.Scan(); read += len(lines.Bytes()) {
		if !bytes.Contains(lines.Bytes(), wanted) {
			continue
		}
		if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[9] == inode {
			return parseAddress(fields[2])
		}
	}
	return ""
}

// parseAddress reads an address such as 0100007F:0CEA: groups of 4 bytes as this
// machine orders them, and the port. The one of a socket without a peer is 0.
func parseAddress(text string) string {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return ""
	}
	for group := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(group, binary.BigEndian.Uint32(group))
	}
	addr, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || n == 0 {
		return ""
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)).String()
}

// address reads a struct sockaddr from the memory of the process.
func (w *waitReader) readSockaddr(at, size uint64) string {
	b := make([]byte, min(size, unix.SizeofSockaddrUnix))
	if len(b) < 3 || w.mem.read(chunk{at, b}) != nil {
		return ""
	}
	// No port is read before it is sure to be there: the address of a unix socket
	// with a name of one letter has three bytes.
	port := func() uint16 { return binary.BigEndian.Uint16(b[2:]) }
	switch family := binary.NativeEndian.Uint16(b); {
	case family == unix.AF_INET && len(b) >= unix.SizeofSockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port()).String()
	case family == unix.AF_INET6 && len(b) >= unix.SizeofSockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])).Unmap(), port()).String()
	case family == unix.AF_UNIX:
		return unixAddress(b[2:])
	}
	return ""
}

// unixAddress writes the address of a unix socket; an abstract one begins with NUL.
func unixAddress(b []byte) string {
	if len(b) > 1 && b[0] == 0 {
		b = append([]byte("@"), b[1:]...)
	}
	name := printable(b)
	if name == "" {
		return ""
	}
	return "unix:" + name
}

// From include/uapi/linux/unix_diag.h and sock_diag.h.
const (
	sockDiagByFamily = 20
	diagShowName     = 1
	diagShowPeer     = 4
	diagName         = 0
	diagPeer         = 2
)

// unixPeer tells where a unix socket leads to, which /proc does not: the name is
// that of the other end, or its own if the connection was made from there.
func (w *waitReader) unixPeer(inode uint64) string {
	own := queryUnixDiag(uint32(inode))
	if own == nil {
		return ""
	}
	name := own[diagName]
	if peer := own[diagPeer]; len(peer) == 4 {
		number := binary.NativeEndian.Uint32(peer)
		if w.connInode != 0 && number == uint32(w.connInode) {
			return "the web server"
		}
		if other := queryUnixDiag(number); len(other[diagName]) > 0 {
			name = other[diagName]
		}
	}
	if name := unixAddress(name); name != "" {
		return name
	}
	return "unix socket"
}

// queryUnixDiag asks the kernel for the attributes of a unix socket (sock_diag(7));
// nil if there is none with this inode.
func queryUnixDiag(inode uint32) map[uint16][]byte {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	order := binary.NativeEndian
	ask := order.AppendUint32(nil, unix.SizeofNlMsghdr+24)
	ask = order.AppendUint16(ask, sockDiagByFamily)
	ask = order.AppendUint16(ask, unix.NLM_F_REQUEST)
	ask = append(ask, make([]byte, 8)...)     // sequence and port
	ask = append(ask, unix.AF_UNIX, 0, 0, 0)  // struct unix_diag_req
	ask = order.AppendUint32(ask, ^uint32(0)) // in any state
	ask = order.AppendUint32(ask, inode)
	ask = order.AppendUint32(ask, diagShowName|diagShowPeer)
	ask = order.AppendUint64(ask, ^uint64(0)) // whatever the cookie
	if unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return nil
	}
	b := make([]byte, 1024)
	n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT) // the answer is there before Sendto returns
	if err != nil {
		return nil
	}
	messages, err := syscall.ParseNetlinkMessage(b[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != sockDiagByFamily {
		return nil
	}
	return parseAttributes(messages[0].Data)
}

// attributes reads what follows a struct unix_diag_msg (rtnetlink(3)).
func parseAttributes(data []byte) map[uint16][]byte {
	const head, message = 4, 16
	all := map[uint16][]byte{}
	for b := data[min(len(data), message):]; len(b) >= head; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < head || n > len(b) {
			break
		}
		all[binary.NativeEndian.Uint16(b[2:])] = b[head:n]
		b = b[min(len(b), (n+3)&^3):]
	}
	return all
}

// socketInode returns the inode of our end of a connection; 0 if there is none.
func socketInode(conn net.Conn) uint64 {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	var st unix.Stat_t
	_ = raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) })
	if err != nil {
		return 0
	}
	return st.Ino
}
