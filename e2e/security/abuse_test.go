//go:build linux

package security

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestSpool_SlowUploads starts 400 uploads and stalls them. Each has sent enough to be
// spooled to disk, or to the 16 MiB of memory that all share.
func TestSpool_SlowUploads(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		const uploads, sent, inMemory = 400, 100 << 10, 16 << 20 / (128 << 10)
		s := harness.StartAbused(t, b, harness.PoolSite(b, "manager static", "workers 2"), harness.Options{})
		body := string(harness.Pattern(sent))
		conns := s.ConnectAll(uploads, func(_ int, conn net.Conn) {
			fmt.Fprintf(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", 10*sent, body)
		})
		harness.Eventually(t, func() error {
			if bytes, files := s.Spooled(); files < uploads-inMemory || bytes != int64(files*sent) {
				return fmt.Errorf("%d bytes in %d files are spooled, want %d each in at least %d", bytes, files, sent, uploads-inMemory)
			}
			return nil
		})
		// All uploads wait for their clients, and none occupies a worker.
		for range 20 {
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}
		if p := s.Pool(); p.Queue.Length > 2 || p.Workers.Draining > 0 {
			t.Errorf("got %+v, want only regular requests in the queue", p)
		}
		harness.CloseAll(conns)
		s.CheckAfterwards(135 * harness.MiB) // without each body's first 64 KiB
	})
}

// TestSpool_AbortedUploads has eight clients that announce 1 GB and disconnect after 64 MB.
func TestSpool_AbortedUploads(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		const uploads, sent = 8, 64 << 20
		s := harness.StartAbused(t, b, harness.PoolSite(b, "manager static", "workers 2", "spool_max 4GiB"), harness.Options{})
		conns := s.ConnectAll(uploads, func(i int, conn net.Conn) {
			length := "Content-Length: 1073741824\r\n\r\n"
			if i%2 == 1 {
				length = "Transfer-Encoding: chunked\r\n\r\n40000000\r\n"
			}
			fmt.Fprint(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\n"+length)
			if _, err := io.CopyN(conn, harness.Endless{}, sent); err != nil {
				t.Errorf("upload %d: %v", i, err)
			}
		})
		harness.Eventually(t, func() error {
			if bytes, _ := s.Spooled(); bytes < uploads*(sent-1<<20) {
				return fmt.Errorf("%d MB are spooled", bytes>>20)
			}
			return nil
		})
		harness.CloseAll(conns)
		s.CheckAfterwards(160 * harness.MiB)
	})
}

// TestAbuse_HeaderFloods sends large headers to a Caddy whose limit is far above the default
// of 16 KB.
func TestAbuse_HeaderFloods(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.StartAbused(t, b, harness.PoolSite(b, "manager static", "workers 2"), harness.Options{Global: "servers {\nmax_header_size 1MB\n}"})
		many, long := make(http.Header), make(http.Header)
		for i := range 5000 {
			many.Set(fmt.Sprint("X-Flood-", i), "0123456789")
		}
		for i := range 14 {
			long.Set(fmt.Sprint("X-Long-", i), strings.Repeat("l", 60_000))
		}
		tooLong := http.Header{"Cookie": {strings.Repeat("c", 900_000)}} // for one FastCGI record
		far := http.Header{"X-Far": {strings.Repeat("f", 3<<20)}}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 12 {
					req := s.Request("GET", "/hello.php", nil)
					want := 200
					switch i % 4 {
					case 0:
						req.Header = many
					case 1:
						req.Header = long
					case 2:
						req.Header, want = far, 431
					case 3:
						req.Header, want = tooLong, 431
					}
					res, err := s.Client.Do(req)
					if err != nil {
						if want == 431 {
							continue // Caddy has closed the connection
						}
						t.Error(err)
						continue
					}
					body, _ := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != want {
						t.Errorf("flood %d: got %s %.100q, want %d", i%4, res.Status, body, want)
					}
				}
			})
		}
		wg.Wait()
		s.CheckAfterwards(300 * harness.MiB)
	})
}
