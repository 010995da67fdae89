package phpbin

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	unixDiagReqSize = 24 // struct unix_diag_req (include/uapi/linux/unix_diag.h)
	unixDiagMsgSize = 16 // struct unix_diag_msg, before its attributes
	unixDiagName    = 0  // UNIX_DIAG_NAME
	showName        = 1  // UDIAG_SHOW_NAME
)

// socketNames returns the names to which the unix sockets of this network namespace are
// bound, by inode, as sock_diag(7) lists them. /proc/net/unix has them too, but there a
// name with a line break looks like the line of another socket. It fails where the
// kernel lacks unix_diag or netlink sockets are not allowed.
func socketNames() (map[uint32]string, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	order := binary.NativeEndian
	request := make([]byte, unix.NLMSG_HDRLEN+unixDiagReqSize)
	order.PutUint32(request, uint32(len(request)))
	order.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := request[unix.NLMSG_HDRLEN:]
	body[0] = unix.AF_UNIX
	order.PutUint32(body[4:], ^uint32(0)) // all states
	order.PutUint32(body[12:], showName)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	names := map[uint32]string{}
	buf := make([]byte, 32<<10) // as much as the kernel puts into one message
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return names, nil
			case unix.NLMSG_ERROR:
				return nil, errors.New("the kernel does not list unix sockets")
			default:
				if inode, name, ok := parseDiag(m.Data); ok {
					names[inode] = name
				}
			}
		}
	}
}

// parseDiag parses a struct unix_diag_msg with its attributes.
func parseDiag(data []byte) (inode uint32, name string, ok bool) {
	if len(data) < unixDiagMsgSize {
		return 0, "", false
	}
	order := binary.NativeEndian
	inode = order.Uint32(data[4:])
	for rest := data[unixDiagMsgSize:]; len(rest) >= unix.SizeofRtAttr; {
		size := int(order.Uint16(rest))
		if size < unix.SizeofRtAttr || size > len(rest) {
			break
		}
		if order.Uint16(rest[2:]) == unixDiagName {
			name = string(rest[unix.SizeofRtAttr:size])
			if !strings.HasPrefix(name, "\x00") { // a path, which is terminated
				name = strings.TrimSuffix(name, "\x00")
			}
			return inode, name, true
		}
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return inode, "", false
}
