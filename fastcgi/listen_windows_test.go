package fastcgi

import (
	"net"
	"syscall"
	"testing"
)

// listenAsPHP listens as php-cgi does: on a port of this machine.
func listenAsPHP(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// errReset is the error after the peer has closed a connection with data that it has not read.
const errReset = syscall.WSAECONNRESET
