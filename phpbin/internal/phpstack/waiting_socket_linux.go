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

// describeSocket returns the remote address of a socket by its inode.
func (w *waitReader) describeSocket(inode string) string {
	number, err := strconv.ParseUint(inode, 10, 64)
	if err != nil {
		return "socket"
	}
	if peer := w.unixPeer(number); peer != "" {
		return peer
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		if addr := lookupRemote(fmt.Sprintf("/proc/%d/net/%s", w.pid, table), inode); addr != "" {
			return addr
		}
	}
	return "socket"
}

// maxTable is how many bytes are read of a table of sockets, which has 150 bytes for
// each socket of the system: 28,000 sockets.
const maxTable = 4 << 20

// lookupRemote returns the remote address of a socket from /proc/PID/net/tcp and the
// like (proc_tcp(5)). They contain it even before the connection is established.
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

// parseAddress parses an address such as 0100007F:0CEA: groups of 4 bytes in the
// machine's byte order, and the port, which is 0 for a socket without a peer.
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

// readSockaddr reads a struct sockaddr from the memory of the process.
func (w *waitReader) readSockaddr(at, size uint64) string {
	b := make([]byte, min(size, unix.SizeofSockaddrUnix))
	if len(b) < 3 || w.mem.read(chunk{at, b}) != nil {
		return ""
	}
	// Reads the port only where there is one: the address of a unix socket with a
	// one-letter name has three bytes.
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

// unixAddress formats the address of a unix socket; an abstract one begins with NUL.
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

// unixPeer returns the name of the peer of a unix socket, which /proc does not
// contain; if the peer has connected to this socket, it is the name of this one.
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

// queryUnixDiag returns the attributes of a unix socket (sock_diag(7)), or nil if no
// socket has this inode.
func queryUnixDiag(inode uint32) map[uint16][]byte {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	order := binary.NativeEndian
	request := order.AppendUint32(nil, unix.SizeofNlMsghdr+24)
	request = order.AppendUint16(request, sockDiagByFamily)
	request = order.AppendUint16(request, unix.NLM_F_REQUEST)
	request = append(request, make([]byte, 8)...)     // sequence and port
	request = append(request, unix.AF_UNIX, 0, 0, 0)  // struct unix_diag_req
	request = order.AppendUint32(request, ^uint32(0)) // in any state
	request = order.AppendUint32(request, inode)
	request = order.AppendUint32(request, diagShowName|diagShowPeer)
	request = order.AppendUint64(request, ^uint64(0)) // any cookie
	if unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return nil
	}
	b := make([]byte, 1024)
	n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT) // the response is there when Sendto returns
	if err != nil {
		return nil
	}
	messages, err := syscall.ParseNetlinkMessage(b[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != sockDiagByFamily {
		return nil
	}
	return parseAttributes(messages[0].Data)
}

// parseAttributes parses the attributes after a struct unix_diag_msg (rtnetlink(3)).
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

// socketInode returns the inode of a connection; 0 if unknown.
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
