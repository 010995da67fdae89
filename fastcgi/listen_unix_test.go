//go:build unix

package fastcgi

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// listenAsPHP listens as php-cgi does: on a Unix socket.
func listenAsPHP(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("unix", filepath.Join(tb.TempDir(), "socket"))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// errReset is the error after the peer has closed a connection with data that it has not read.
const errReset = syscall.ECONNRESET
