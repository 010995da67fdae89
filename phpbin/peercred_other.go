//go:build !linux

package phpbin

import (
	"errors"
	"net"
)

// peer would be the process that answered; only Linux tells.
type peer struct {
	pid int
}

func withPeerCredentials(conn net.Conn) (net.Conn, *peer, error) { return conn, &peer{}, nil }

func (p *peer) finish() error          { return nil }
func (p *peer) watch() (*child, error) { return nil, errors.ErrUnsupported }
func (p *peer) kill()                  {}
func (p *peer) close()                 {}
