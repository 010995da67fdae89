//go:build linux && bench

package bench

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestSpeedUnderAbuse measures regular clients at full load alone, and beside
// hostile ones of another address: connections that send half a request,
// uploads that stall, readers that read nothing, and clients that request slow
// pages and reset the connection. max_per_client keeps workers free for the regular ones.
func TestSpeedUnderAbuse(t *testing.T) {
	s := harness.Start(t, harness.SharedLean, harness.PoolSite(harness.SharedLean, "manager static", "workers 8", "max_per_client 4", "response_buffers 10MiB",
		"slow_request off"), harness.Options{})
	harness.WriteFile(t, s.Site+"/nap.php", "<?php usleep(50000); echo 'rested';")
	honest := rivalOf(t, s)
	w := work{name: "hello", path: "/hello.php", clients: 4, want: "hello\n", size: 6}
	checkResponse(t, honest, w)
	measure(t, honest, w, time.Second)

	calm, abused := &tally{rival: "by themselves"}, &tally{rival: "beside hostile ones"}
	for range *speedRounds {
		calm.runs = append(calm.runs, measure(t, honest, w, *speedTime))
		leave := hostile(t, s)
		abused.runs = append(abused.runs, measure(t, honest, w, *speedTime))
		leave()
		s.WaitPool("idle", func(p harness.PoolStatus) bool { return p.Workers.Idle == 8 && p.Queue.Length == 0 })
	}
	fmt.Print(speedTable("4 regular clients", []*tally{calm, abused}))
}

// hostile starts hostile clients, which end when the returned function is called.
func hostile(t *testing.T, s *harness.Server) (leave func()) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	dial := func(request string) net.Conn {
		conn, err := dialer.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Error(err)
			return nil
		}
		fmt.Fprint(conn, request)
		return conn
	}
	const uploads = 500
	var conns []net.Conn
	crowd := func(n int, request string) {
		for range n {
			if conn := dial(request); conn != nil {
				conns = append(conns, conn)
			}
		}
	}
	crowd(1000, "GET /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half")
	crowd(uploads, "POST /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\n"+strings.Repeat("x", 100<<10))
	crowd(20, "GET /big.php?n=8 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	harness.Eventually(t, func() error {
		if _, files := s.Spooled(); files != uploads {
			return fmt.Errorf("%d uploads are spooled", files)
		}
		return nil
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if conn := dial("GET /nap.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); conn != nil {
					conn.(*net.TCPConn).SetLinger(0) // it is reset, not closed
					conn.Close()
				}
			}
		})
	}
	return func() {
		close(stop)
		wg.Wait()
		harness.CloseAll(conns)
	}
}
