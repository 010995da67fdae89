//go:build linux

package security

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestAbuse_SlowReaders has ten times as many clients as workers. They request
// pages of 8 MB and read nothing of them.
func TestAbuse_SlowReaders(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		const readers, size = 20, 8 * harness.MiB
		s := harness.StartAbused(t, b, harness.PoolSite(b, "manager static", "workers 2", "response_buffers 10MiB"), harness.Options{})
		conns := s.ConnectAll(readers, func(_ int, conn net.Conn) {
			conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			fmt.Fprint(conn, "GET /big.php?n=8 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
		})
		// PHP finishes all requests long before the clients read.
		s.WaitPool("free again", func(p harness.PoolStatus) bool {
			return p.Requests.Total >= readers+10 && p.Workers.Idle > 0 && p.Queue.Length == 0
		})
		for range 20 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
		// Half of the clients disconnect, the others get the complete page.
		harness.CloseAll(conns[readers/2:])
		var wg sync.WaitGroup
		for _, conn := range conns[:readers/2] {
			wg.Go(func() {
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				if n := harness.Discard(t, res.Body); n != size {
					t.Errorf("got %d bytes, want %d", n, size)
				}
			})
		}
		wg.Wait()
		harness.CloseAll(conns)
		s.CheckAfterwards(66*harness.MiB + readers*30*harness.MiB)
	})
}

// stages are when a client can disconnect: after it has sent this, and has waited for
// that.
var stages = []struct {
	name, sends string
	until       func(s *harness.AbusedServer, conn net.Conn)
}{
	{"connected", "", nil},
	{"half a head", "GET /hello.php HTTP/1.1\r\nHo", nil},
	{"a head", "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n", nil},
	{"half a small body", "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf", nil},
	{"half a chunk", "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", nil},
	{"half a large body", "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("b", 200_000), nil},
	{"all of it sent", "GET /pid.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", nil},
	{"PHP runs", "GET /nap.php?ms=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", nil},
	{"PHP streams", "GET /load/drip.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", readSome},
	{"half a large response", "GET /big.php?n=20 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", readSome},
	{"a response", "GET /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", readSome},
	{"a pipeline", strings.Repeat("GET /pid.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 20), readSome},
	{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", nil},
}

func readSome(s *harness.AbusedServer, conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(harness.MaxWait))
	if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
		s.T.Error(err)
	}
}

// TestAbuse_ClientsDisconnect has 30 clients disconnect at each stage, half of them with a
// reset, all stages at the same time.
func TestAbuse_ClientsDisconnect(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		for _, buffers := range []string{"", "response_buffers 1MiB"} {
			t.Run(buffers, func(t *testing.T) {
				t.Parallel()
				s := harness.StartAbused(t, b, harness.PoolSite(b, "manager static", "workers 4", buffers), harness.Options{})
				var wg sync.WaitGroup
				for _, stage := range stages {
					wg.Go(func() {
						for i := range 30 {
							conn, err := harness.Connect(t, s.Server)
							if err != nil {
								t.Error(err)
								return
							}
							// The server may have closed the connection: it is not HTTP.
							io.WriteString(conn, stage.sends)
							if stage.until != nil {
								stage.until(s, conn)
							}
							if i%2 == 0 {
								conn.(*net.TCPConn).SetLinger(0)
							}
							conn.Close()
						}
					})
				}
				wg.Wait()
				s.CheckAfterwards(200 * harness.MiB)
			})
		}
	})
}
