package phpbin

import (
	"context"
	"fmt"
	"net"
	"os/exec"
)

// endpoint is where a php-cgi listens.
type endpoint struct {
	address string
}

// newEndpoint chooses a port. php-cgi opens it itself: it cannot take over a
// socket unless its stdout and stderr are invalid handles (main/fastcgi.c),
// which os/exec has no way to say. Until it does, someone else may take the
// port; then php-cgi says so and ends, and the launch fails.
func newEndpoint(string, int) (*endpoint, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("choosing a port for php-cgi: %w", err)
	}
	address := l.Addr().String()
	return &endpoint{address: address}, l.Close()
}

// prepare makes cmd listen, and answer nobody from elsewhere.
func (e *endpoint) prepare(cmd *exec.Cmd) {
	cmd.Args = append(cmd.Args, "-b", e.address)
	cmd.Env = append(cmd.Env, "FCGI_WEB_SERVER_ADDRS=127.0.0.1")
}

func (e *endpoint) started() {}

// dial connects. It fails until php-cgi listens.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp4", e.address)
}

func (e *endpoint) close() {}
