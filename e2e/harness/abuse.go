//go:build linux

package harness

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// AbusedServer is a server that a test abuses while regular clients request pages
// and the admin API is polled.
type AbusedServer struct {
	*Server
	before         Footprint
	medianBefore   time.Duration // how long a page takes where nobody abuses anything, the median
	stop           chan struct{}
	regularClients sync.WaitGroup
	mu             sync.Mutex
	served         int
	slowest        time.Duration
	during         []time.Duration // how long each has taken meanwhile
}

// StartAbused starts a server and its regular clients. The footprint to compare with
// is measured after the pool has served its first requests.
func StartAbused(tb testing.TB, b Backend, caddyfile string, opts Options) *AbusedServer {
	tb.Helper()
	s := &AbusedServer{Server: Start(tb, b, caddyfile, opts), stop: make(chan struct{})}
	WriteFile(tb, s.Site+"/nap.php", "<?php usleep($_GET['ms'] * 1000); echo 'rested';")
	for range 10 {
		s.Get("/hello.php").Want(tb, 200, "hello\n")
	}
	var calm []time.Duration
	for range 100 {
		start := time.Now()
		s.Get("/hello.php").Want(tb, 200, "hello\n")
		calm = append(calm, time.Since(start))
	}
	s.medianBefore = Median(calm)
	s.Client.CloseIdleConnections()
	s.before = s.Footprint()
	s.regularClients.Go(func() {
		s.repeat(func() { s.Get("/hello.php").Want(tb, 200, "hello\n") }, func(elapsed time.Duration) { s.during = append(s.during, elapsed) })
	})
	s.regularClients.Go(func() {
		s.repeat(func() { s.Admin("GET", "/php_pool/pools/main/ping", "").Want(tb, 200, "") }, func(time.Duration) {})
	})
	return s
}

// Median returns the median of a list.
func Median[N cmp.Ordered](all []N) N {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func (s *AbusedServer) repeat(request func(), note func(elapsed time.Duration)) {
	for {
		select {
		case <-s.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		start := time.Now()
		request()
		elapsed := time.Since(start)
		s.mu.Lock()
		s.served++
		s.slowest = max(s.slowest, elapsed)
		note(elapsed)
		s.mu.Unlock()
	}
}

// CheckAfterwards stops the regular clients and checks that regular clients were served all the time,
// that Caddy used no more memory than the limit, that every worker is idle, and
// that no request body, goroutine or open file remains.
func (s *AbusedServer) CheckAfterwards(memory int64) {
	s.T.Helper()
	// Far less than a request waits for a worker that an attacker holds, and far
	// more than the slowest machine needs.
	const within = 30 * time.Second
	close(s.stop)
	s.regularClients.Wait()
	if s.served < 10 || s.slowest > within {
		s.T.Errorf("%d regular requests were served, the slowest after %v, want at most %v", s.served, s.slowest, within)
	}
	peak := s.PeakMemory()
	if peak > memory && !RaceBuilt {
		s.T.Errorf("Caddy's memory went up to %d MB, want at most %d MB", peak>>20, memory>>20)
	}
	var p PoolStatus
	Eventually(s.T, func() error {
		p = s.Pool()
		if p.Workers.Idle != p.Workers.Total || p.Workers.Total == 0 || p.Queue.Length != 0 {
			// This shows what each of them is blocked on.
			return fmt.Errorf("not all workers are idle: %s", s.Admin("GET", "/php_pool/pools/main/workers", "").Text)
		}
		return nil
	})
	// A worker is discarded if its client disconnects while PHP gets the body.
	delete(p.Exits, "abandoned")
	if p.Requests.Failed != 0 || len(p.Exits) != 0 || len(p.Quarantined) != 0 {
		s.T.Errorf("got %+v, exits %v and quarantine %v, want no failed request and no exit", p.Requests, p.Exits, p.Quarantined)
	}
	s.WantNoSpool()
	s.Client.CloseIdleConnections()
	const slack = 8
	Eventually(s.T, func() error {
		after := s.Footprint()
		if after.Goroutines > s.before.Goroutines+slack || after.Files > s.before.Files+slack {
			return fmt.Errorf("after: %v; before: %v", after, s.before)
		}
		return nil
	})
	s.T.Logf("%d regular requests; a page took %v before and %v meanwhile (medians), the slowest request %v; Caddy's memory was %d MB at first, %d MB at most",
		s.served, s.medianBefore.Round(10*time.Microsecond), Median(s.during).Round(10*time.Microsecond), s.slowest.Round(time.Millisecond),
		s.before.RSS>>20, peak>>20)
}

// Spooled returns how many bytes of request bodies the admin API reports on disk,
// and how many spool files Caddy has open.
func (s *Server) Spooled() (bytes int64, files int) {
	s.T.Helper()
	var p struct {
		Spooled int64 `json:"spooled_bytes"`
	}
	if err := json.Unmarshal([]byte(s.Admin("GET", "/php_pool/pools/main", "").Text), &p); err != nil {
		s.T.Fatal(err)
	}
	dir := fmt.Sprintf("/proc/%d/fd", s.PID)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.T.Fatal(err)
	}
	for _, e := range entries {
		if name, _ := os.Readlink(filepath.Join(dir, e.Name())); strings.Contains(name, "php_pool-body") {
			files++
		}
	}
	return p.Spooled, files
}

// WantNoSpool waits until Caddy has no spool file open, deleted ones included.
func (s *Server) WantNoSpool() {
	s.T.Helper()
	Eventually(s.T, func() error {
		if bytes, files := s.Spooled(); bytes != 0 || files != 0 {
			return fmt.Errorf("%d bytes are spooled in %d files", bytes, files)
		}
		return nil
	})
}

// Connect opens a connection, which is closed when the test ends.
func Connect(tb testing.TB, s *Server) (net.Conn, error) {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err == nil {
		tb.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// ConnectAll opens n connections and sends something on each.
func (s *AbusedServer) ConnectAll(n int, send func(i int, conn net.Conn)) []net.Conn {
	s.T.Helper()
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	const dialers = 16
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n; i += dialers {
				conn, err := Connect(s.T, s.Server)
				if err != nil {
					s.T.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
				send(i, conn)
			}
		})
	}
	wg.Wait()
	if s.T.Failed() {
		s.T.FailNow()
	}
	return conns
}

// CloseAll closes connections.
func CloseAll(conns []net.Conn) {
	for _, conn := range conns {
		conn.Close()
	}
}
