//go:build linux

package e2e

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
