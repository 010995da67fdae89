//go:build linux

package soak

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestAbuse_TenThousandConnections has 10,000 open connections: idle ones after a
// request, some that have sent half a request, and some that have sent nothing.
func TestAbuse_TenThousandConnections(t *testing.T) {
	t.Parallel()
	const open = 10000
	s := harness.StartAbused(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "manager static", "workers 2"), harness.Options{})
	conns := s.ConnectAll(open, func(i int, conn net.Conn) {
		switch i % 10 {
		case 0:
			fmt.Fprint(conn, "GET /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			buf := make([]byte, 4096)
			conn.SetReadDeadline(time.Now().Add(harness.MaxWait))
			if n, err := conn.Read(buf); !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
				t.Errorf("got %q, %v", buf[:n], err)
			}
		case 1, 2, 3, 4:
			fmt.Fprint(conn, "POST /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half")
		case 5, 6, 7:
			fmt.Fprint(conn, "POST /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf")
		}
	})
	harness.Eventually(t, func() error {
		if f := s.Footprint(); f.Files < open {
			return fmt.Errorf("got %v, want %d connections", f, open)
		}
		return nil
	})
	for range 50 {
		s.Get("/hello.php").Want(t, 200, "hello\n")
	}
	harness.CloseAll(conns)
	s.CheckAfterwards(450 * harness.MiB)
}
