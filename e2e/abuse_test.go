//go:build linux

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// abused is a server under one kind of abuse. Meanwhile honest clients ask for
// pages, and an administrator for the state of the pool.
type abused struct {
	*server
	before footprint
	calm   time.Duration // how long a page takes where nobody abuses anything, the median
	stop   chan struct{}
	honest sync.WaitGroup
	mu     sync.Mutex
	served int
	worst  time.Duration
	pages  []time.Duration // how long each has taken meanwhile
}

// abuse prepares a server. What Caddy holds is measured after the pool has
// served once.
func abuse(t *testing.T, b backend, caddyfile string, opts options) *abused {
	t.Helper()
	s := &abused{server: start(t, b, caddyfile, opts), stop: make(chan struct{})}
	writeFile(t, s.site+"/nap.php", "<?php usleep($_GET['ms'] * 1000); echo 'rested';")
	for range 10 {
		s.get("/hello.php").want(t, 200, "hello\n")
	}
	var calm []time.Duration
	for range 100 {
		began := time.Now()
		s.get("/hello.php").want(t, 200, "hello\n")
		calm = append(calm, time.Since(began))
	}
	s.calm = middle(calm)
	s.client.CloseIdleConnections()
	s.before = s.footprint()
	s.honest.Go(func() {
		s.keepAsking(func() { s.get("/hello.php").want(t, 200, "hello\n") }, func(took time.Duration) { s.pages = append(s.pages, took) })
	})
	s.honest.Go(func() {
		s.keepAsking(func() { s.admin("GET", "/php_pool/pools/main/ping", "").want(t, 200, "") }, func(time.Duration) {})
	})
	return s
}

// middle is the median.
func middle[N cmp.Ordered](all []N) N {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func (s *abused) keepAsking(ask func(), note func(took time.Duration)) {
	for {
		select {
		case <-s.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		began := time.Now()
		ask()
		took := time.Since(began)
		s.mu.Lock()
		s.served++
		s.worst = max(s.worst, took)
		note(took)
		s.mu.Unlock()
	}
}

// over ends the abuse and checks that honest clients were served all the time,
// that Caddy used no more memory than the limit, that every worker is idle, and
// that no request body, goroutine or open file remains.
func (s *abused) over(memory int64) {
	s.t.Helper()
	// Far less than a request waits for a worker that an attacker holds, and far
	// more than the slowest machine needs.
	const within = 30 * time.Second
	close(s.stop)
	s.honest.Wait()
	if s.served < 10 || s.worst > within {
		s.t.Errorf("%d honest requests were served, the slowest after %v, want at most %v", s.served, s.worst, within)
	}
	peak := s.memoryPeak()
	if peak > memory && !raceBuilt {
		s.t.Errorf("Caddy's memory went up to %d MB, want at most %d MB", peak>>20, memory>>20)
	}
	var p poolStatus
	eventually(s.t, func() error {
		p = s.pool()
		if p.Workers.Idle != p.Workers.Total || p.Workers.Total == 0 || p.Queue.Length != 0 {
			// With what each of them waits for.
			return fmt.Errorf("the pool is not at rest: %s", s.admin("GET", "/php_pool/pools/main/workers", "").body)
		}
		return nil
	})
	// A worker goes with a client that leaves while PHP is given its body.
	delete(p.Exits, "abandoned")
	if p.Requests.Failed != 0 || len(p.Exits) != 0 || len(p.Quarantined) != 0 {
		s.t.Errorf("got %+v, exits %v and quarantine %v, want no failed request and no worker lost", p.Requests, p.Exits, p.Quarantined)
	}
	s.wantNoSpool()
	s.client.CloseIdleConnections()
	const slack = 8
	eventually(s.t, func() error {
		after := s.footprint()
		if after.goroutines > s.before.goroutines+slack || after.files > s.before.files+slack {
			return fmt.Errorf("after: %v; before: %v", after, s.before)
		}
		return nil
	})
	s.t.Logf("%d honest requests; a page took %v before and %v meanwhile (medians), the slowest request %v; Caddy's memory was %d MB at first, %d MB at most",
		s.served, s.calm.Round(10*time.Microsecond), middle(s.pages).Round(10*time.Microsecond), s.worst.Round(time.Millisecond),
		s.before.rss>>20, peak>>20)
}

// spooled is how much of request bodies Caddy says to keep on the disk, and how
// many files of that kind it has open.
func (s *server) spooled() (bytes int64, files int) {
	s.t.Helper()
	var p struct {
		Spooled int64 `json:"spooled_bytes"`
	}
	if err := json.Unmarshal([]byte(s.admin("GET", "/php_pool/pools/main", "").body), &p); err != nil {
		s.t.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/fd", s.PID)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if name, _ := os.Readlink(filepath.Join(dir, e.Name())); strings.Contains(name, "php_pool-body") {
			files++
		}
	}
	return p.Spooled, files
}

// wantNoSpool checks that no body is kept any more, with a name or without.
func (s *server) wantNoSpool() {
	s.t.Helper()
	eventually(s.t, func() error {
		if bytes, files := s.spooled(); bytes != 0 || files != 0 {
			return fmt.Errorf("%d bytes of bodies are kept in %d files", bytes, files)
		}
		return nil
	})
}

// connect opens a connection that the test's end closes.
func connect(t *testing.T, s *server) (net.Conn, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// connectAll opens n connections and sends something on each.
func (s *abused) connectAll(n int, send func(i int, conn net.Conn)) []net.Conn {
	s.t.Helper()
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	const dialers = 16
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n; i += dialers {
				conn, err := connect(s.t, s.server)
				if err != nil {
					s.t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
				send(i, conn)
			}
		})
	}
	wg.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
	return conns
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		conn.Close()
	}
}

// TestSlowBodiesHoldNoWorker begins 400 uploads, of which each has so much that
// it is on the disk, or in the 16 MiB of memory that all share, and goes on with
// none.
func TestSlowBodiesHoldNoWorker(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		const uploads, sent, inMemory = 400, 100 << 10, 16 << 20 / (128 << 10)
		s := abuse(t, b, poolSite(b, "manager static", "workers 2"), options{})
		body := string(pattern(sent))
		conns := s.connectAll(uploads, func(_ int, conn net.Conn) {
			fmt.Fprintf(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", 10*sent, body)
		})
		eventually(t, func() error {
			if bytes, files := s.spooled(); files < uploads-inMemory || bytes != int64(files*sent) {
				return fmt.Errorf("%d bytes in %d files are spooled, want %d each in at least %d", bytes, files, sent, uploads-inMemory)
			}
			return nil
		})
		// All of them wait for their clients, and none has a worker.
		for range 20 {
			s.get("/hello.php").want(t, 200, "hello\n")
		}
		if p := s.pool(); p.Queue.Length > 2 || p.Workers.Draining > 0 {
			t.Errorf("got %+v, want nobody in line but the honest", p)
		}
		closeAll(conns)
		s.over(135 * mib) // without each body's first 64 KiB
	})
}

// TestUploadsThatAreCutLeaveNothing has eight clients that announce 1 GB and
// break off after 64 MB.
func TestUploadsThatAreCutLeaveNothing(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		const uploads, sent = 8, 64 << 20
		s := abuse(t, b, poolSite(b, "manager static", "workers 2", "spool_max 4GiB"), options{})
		conns := s.connectAll(uploads, func(i int, conn net.Conn) {
			length := "Content-Length: 1073741824\r\n\r\n"
			if i%2 == 1 {
				length = "Transfer-Encoding: chunked\r\n\r\n40000000\r\n"
			}
			fmt.Fprint(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\n"+length)
			if _, err := io.CopyN(conn, endless{}, sent); err != nil {
				t.Errorf("upload %d: %v", i, err)
			}
		})
		eventually(t, func() error {
			if bytes, _ := s.spooled(); bytes < uploads*(sent-1<<20) {
				return fmt.Errorf("%d MB are spooled", bytes>>20)
			}
			return nil
		})
		closeAll(conns)
		s.over(160 * mib)
	})
}

// TestTenThousandConnections has 10,000 of them open: idle ones after a request,
// ones that have sent half a request, and ones that have said nothing.
func TestTenThousandConnections(t *testing.T) {
	t.Parallel()
	const open = 10000
	s := abuse(t, sharedLean, poolSite(sharedLean, "manager static", "workers 2"), options{})
	conns := s.connectAll(open, func(i int, conn net.Conn) {
		switch i % 10 {
		case 0:
			fmt.Fprint(conn, "GET /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
			buf := make([]byte, 4096)
			conn.SetReadDeadline(time.Now().Add(maxWait))
			if n, err := conn.Read(buf); !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
				t.Errorf("got %q, %v", buf[:n], err)
			}
		case 1, 2, 3, 4:
			fmt.Fprint(conn, "POST /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half")
		case 5, 6, 7:
			fmt.Fprint(conn, "POST /hello.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf")
		}
	})
	eventually(t, func() error {
		if f := s.footprint(); f.files < open {
			return fmt.Errorf("got %v, want %d connections", f, open)
		}
		return nil
	})
	for range 50 {
		s.get("/hello.php").want(t, 200, "hello\n")
	}
	closeAll(conns)
	s.over(450 * mib)
}

// TestHeaderFloods sends headers of all kinds to a Caddy that takes far more of
// them than its default of 16 KB lets in.
func TestHeaderFloods(t *testing.T) {
	t.Parallel()
	each(t, bothWays, func(t *testing.T, b backend) {
		s := abuse(t, b, poolSite(b, "manager static", "workers 2"), options{global: "servers {\nmax_header_size 1MB\n}"})
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
					req := s.request("GET", "/hello.php", nil)
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
					res, err := s.client.Do(req)
					if err != nil {
						if want == 431 {
							continue // Caddy has closed the connection under the flood
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
		s.over(300 * mib)
	})
}
