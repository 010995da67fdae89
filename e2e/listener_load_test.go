//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// listenerClients are web servers that send requests until stop is called.
type listenerClients struct {
	t      *testing.T
	script string
	quit   chan struct{}
	wait   sync.WaitGroup

	served, failed atomic.Int64
	failure        atomic.Pointer[string] // the first one
	ended          []*atomic.Int64        // requests that have ended, by client
}

func newListenerClients(t *testing.T, script string) *listenerClients {
	t.Helper()
	c := &listenerClients{t: t, script: script, quit: make(chan struct{})}
	t.Cleanup(c.stop)
	return c
}

func (c *listenerClients) stop() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	c.wait.Wait()
}

// run sends requests to an address, each on a new connection, or all on one.
func (c *listenerClients) run(address, method string, keep bool) {
	ended := new(atomic.Int64)
	c.ended = append(c.ended, ended)
	fail := func(err error, res harness.FastCGIResponse) {
		c.failed.Add(1)
		text := fmt.Sprintf("%s, keep %v: %v, %q, %q", address, keep, err, res.Stdout, res.Stderr)
		c.failure.CompareAndSwap(nil, &text)
	}
	c.wait.Go(func() {
		var conn *harness.FastCGIConn
		defer func() {
			if conn != nil {
				conn.Close()
			}
		}()
		for {
			select {
			case <-c.quit:
				return
			default:
			}
			if conn == nil {
				var err error
				if conn, err = harness.OpenFastCGI(address); err != nil {
					fail(err, harness.FastCGIResponse{})
					return
				}
			}
			res, err := conn.Do(keep, "", "SCRIPT_FILENAME", c.script, "REQUEST_METHOD", method, "SCRIPT_NAME", "/x.php")
			if err == nil && strings.HasSuffix(res.Stdout, "hello\n") {
				c.served.Add(1)
			} else {
				fail(err, res)
			}
			ended.Add(1)
			if !keep || err != nil {
				conn.Close()
				conn = nil
			}
		}
	})
}

// waitServed waits for n more responses.
func (c *listenerClients) waitServed(n int64) {
	c.t.Helper()
	end := c.served.Load() + n
	harness.Eventually(c.t, func() error {
		if served := c.served.Load(); served < end {
			return fmt.Errorf("%d of %d requests served", served, end)
		}
		return nil
	})
}

// waitEach waits until each client has ended the request that it runs now.
func (c *listenerClients) waitEach() {
	c.t.Helper()
	for _, ended := range c.ended {
		end := ended.Load() + 1
		harness.Eventually(c.t, func() error {
			if n := ended.Load(); n < end && c.failed.Load() == 0 {
				return fmt.Errorf("%d of %d requests of a client have ended", n, end)
			}
			return nil
		})
	}
}

func (c *listenerClients) wantNoneFailed() {
	c.t.Helper()
	if n := c.failed.Load(); n > 0 {
		c.t.Errorf("%d of %d requests failed, the first: %s", n, n+c.served.Load(), *c.failure.Load())
	}
}

// A reload loses no request, whatever it changes: new connections wait in the same
// socket, and kept ones go on.
func TestListener_ReloadLosesNothing(t *testing.T) {
	t.Parallel()
	port := harness.FreePort(t)
	global := func(i int) string {
		return fmt.Sprintf(`php_pool {
			pool p {
				workers 4
				ini memory_limit %dM
			}
			fastcgi unix/{$DIR}/l.sock|066%d {
				pool p
				max_connections %d
			}
			fastcgi 127.0.0.1:%d {
				pool p
			}
		}`, 64+i/2, i%2*2, 100+i, port)
	}
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Global: global(0)})
	if err := s.Run(""); err != nil {
		t.Fatal(err)
	}
	clients := newListenerClients(t, filepath.Join(s.Site, "hello.php"))
	for _, address := range []string{filepath.Join(s.Dir, "l.sock"), fmt.Sprint("127.0.0.1:", port)} {
		for range 2 {
			clients.run(address, "POST", false)
			clients.run(address, "POST", true)
		}
	}
	for i := range harness.Rounds(60) {
		clients.waitServed(20)
		s.Options.Global = global(i + 1)
		s.MustReload("")
	}
	clients.waitServed(20)
	clients.stop()
	clients.wantNoneFailed()
}

// When an address is no longer in the config, running requests are completed, and idle
// connections are closed.
func TestListener_AddressRemoved(t *testing.T) {
	t.Parallel()
	pool := "php_pool {\npool p {\nworkers 2\n}\nfastcgi unix/{$DIR}/a.sock {\npool p\n}\n"
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Global: pool + "fastcgi unix/{$DIR}/b.sock {\npool p\n}\n}"})
	if err := s.Run(""); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(s.Site, "slow.php"), `<?php touch(__DIR__ . '/slow.runs'); while (!file_exists(__DIR__ . '/slow.go')) { usleep(2000); clearstatcache(); } echo 'done';`)
	idle, running := harness.DialFastCGI(t, filepath.Join(s.Dir, "b.sock")), harness.DialFastCGI(t, filepath.Join(s.Dir, "b.sock"))
	if res, err := idle.Do(true, "", "SCRIPT_FILENAME", filepath.Join(s.Site, "hello.php"), "REQUEST_METHOD", "GET"); err != nil {
		t.Fatalf("%v, %+v", err, res)
	}
	if _, err := running.Write(harness.FastCGIRequest(1, true, "", "SCRIPT_FILENAME", filepath.Join(s.Site, "slow.php"), "REQUEST_METHOD", "GET")); err != nil {
		t.Fatal(err)
	}
	waitFile(t, filepath.Join(s.Site, "slow.runs"))
	s.Options.Global = pool + "}"
	s.MustReload("")
	if _, _, content, err := idle.ReadRecord(); err == nil {
		t.Errorf("the idle connection got %q", content)
	}
	if _, err := net.Dial("unix", filepath.Join(s.Dir, "b.sock")); err == nil {
		t.Error("the socket still accepts connections")
	}
	harness.WriteFile(t, filepath.Join(s.Site, "slow.go"), "")
	if res, err := running.Receive(1); err != nil || !strings.HasSuffix(res.Stdout, "done") {
		t.Errorf("the running request got %q, %v", res.Stdout, err)
	}
	if _, _, content, err := running.ReadRecord(); err == nil {
		t.Errorf("after it the connection got %q", content)
	}
}

// Workers that are recycled lose no request. Those that are killed lose only the
// requests that cannot be repeated, one each.
func TestListener_WorkersAreReplaced(t *testing.T) {
	t.Parallel()
	s := harness.Prepare(t, harness.SharedLean, harness.Options{Global: `php_pool {
		workers 4
		max_requests 50
		fastcgi unix/{$DIR}/l.sock
	}`})
	if err := s.Run(""); err != nil {
		t.Fatal(err)
	}
	script, address := filepath.Join(s.Site, "hello.php"), filepath.Join(s.Dir, "l.sock")
	gets, posts := newListenerClients(t, script), newListenerClients(t, script)
	for range 3 {
		gets.run(address, "GET", true)
		posts.run(address, "POST", true)
	}
	gets.run(address, "GET", false)
	gets.waitServed(300)
	posts.waitServed(300)
	posts.wantNoneFailed()
	kills := int64(harness.Rounds(50))
	for range kills {
		// A request is repeated once, so no worker may be killed while one is repeated.
		gets.waitEach()
		gets.waitServed(20)
		workers := s.WorkerProcesses()
		if len(workers) == 0 {
			continue
		}
		if err := syscall.Kill(workers[0].PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	gets.waitServed(100)
	posts.waitServed(100)
	gets.stop()
	posts.stop()
	gets.wantNoneFailed()
	if n := posts.failed.Load(); n > kills {
		t.Errorf("%d requests failed by %d killed workers: %s", n, kills, *posts.failure.Load())
	}
}

// waitFile waits for a file.
func waitFile(t *testing.T, path string) {
	t.Helper()
	harness.Eventually(t, func() error {
		_, err := os.Stat(path)
		return err
	})
}
