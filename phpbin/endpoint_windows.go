package phpbin

import (
	"context"
	"fmt"
	"net"
	"os/exec"
)

// endpoint is the address on which a php-cgi listens.
type endpoint struct {
	address string
}

// newEndpoint chooses a free port, which php-cgi opens itself. If another process takes the port before that, php-cgi
// reports it and exits, and the launch fails.
func newEndpoint(Options, string) (*endpoint, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("choosing a port for php-cgi: %w", err)
	}
	address := l.Addr().String()
	return &endpoint{address: address}, l.Close()
}

// prepare makes cmd listen, and reject clients from other hosts.
func (e *endpoint) prepare(cmd *exec.Cmd) {
	cmd.Args = append(cmd.Args, "-b", e.address)
	cmd.Env = append(cmd.Env, "FCGI_WEB_SERVER_ADDRS=127.0.0.1")
}

// dial connects. It fails until php-cgi listens.
func (e *endpoint) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp4", e.address)
}

func (e *endpoint) close() {}

// dirPrefix is how the names of our temporary directories begin.
const dirPrefix = "php-pool-"

// ownTag identifies this process in such a name, for [KillOrphans]; Windows needs
// none.
func ownTag() string { return "" }

func newGroupTag() string { return "" }
