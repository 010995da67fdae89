//go:build linux

package cluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// network has the namespaces of the machines, and one more for the switch.
type network struct {
	t      *testing.T
	prefix string // of the names of the namespaces
}

// The machines, with the last number of their address.
var hosts = map[string]int{"front": 1, "redis": 9, "node1": 11, "node2": 12, "node3": 13}

// address returns the address of a machine. It exists in the namespaces only.
func address(host string) string { return fmt.Sprintf("10.207.0.%d", hosts[host]) }

// newNetwork makes the namespaces, and removes them when the test ends.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{t: t, prefix: fmt.Sprintf("phppool%d-", os.Getpid())}
	t.Cleanup(n.remove)
	n.ip("netns", "add", n.ns("switch"))
	n.ip("-n", n.ns("switch"), "link", "add", "br0", "type", "bridge")
	n.ip("-n", n.ns("switch"), "link", "set", "br0", "up")
	for host := range hosts {
		// Both ends are made where they belong: nothing appears on the machine itself.
		n.ip("netns", "add", n.ns(host))
		n.ip("link", "add", "eth0", "netns", n.ns(host), "type", "veth", "peer", "name", host, "netns", n.ns("switch"))
		n.ip("-n", n.ns("switch"), "link", "set", host, "master", "br0", "up")
		n.ip("-n", n.ns(host), "link", "set", "lo", "up")
		n.ip("-n", n.ns(host), "addr", "add", address(host)+"/24", "dev", "eth0")
		n.ip("-n", n.ns(host), "link", "set", "eth0", "up")
	}
	return n
}

// ns returns the name of a machine's namespace.
func (n *network) ns(host string) string { return n.prefix + host }

// ip runs ip(8).
func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// remove removes the namespaces, and with them all interfaces.
func (n *network) remove() {
	exec.Command("ip", "netns", "del", n.ns("switch")).Run()
	for host := range hosts {
		exec.Command("ip", "netns", "del", n.ns(host)).Run()
	}
}

// plug connects a machine to the switch, or pulls its cable.
func (n *network) plug(host string, connected bool) {
	n.t.Helper()
	state := "down"
	if connected {
		state = "up"
	}
	n.ip("-n", n.ns("switch"), "link", "set", host, state)
}

// dial connects from a machine: a socket belongs to the namespace of the thread that makes
// it.
func (n *network) dial(ctx context.Context, from, network, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, err := unix.Open("/run/netns/"+n.ns(from), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			done <- result{nil, fmt.Errorf("entering the namespace of %s: %w", from, err)}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// client returns an HTTP client on a machine. It keeps one connection.
func (n *network) client(from string) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return n.dial(ctx, from, network, addr)
	}, DisableCompression: true}
	n.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: harness.MaxWait}
}
