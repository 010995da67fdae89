package phpbin

import (
	"fmt"
	"net"
)

// listen opens a port of the loopback interface. PHP has no unix sockets on Windows.
func (l *backListener) listen(*group, int) (err error) {
	if l.Listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("opening a port for the worker script: %w", err)
	}
	l.address = "tcp://" + l.Addr().String()
	return nil
}
