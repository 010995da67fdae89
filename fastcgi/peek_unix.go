//go:build unix && !linux

package fastcgi

import (
	"net"
	"syscall"
)

// peeker is a plain reader: SO_PEEK_OFF exists on Linux only.
type peeker struct{ peekedBytes int }

func (*peeker) init(net.Conn, syscall.RawConn) {}

func (*peeker) read(fd int, p []byte) (int, error) { return readFD(fd, p) }

func (*peeker) drainIfNeeded(int) {}

func (*peeker) drain(int) {}
