//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestReload_NewConnections opens a new connection for each request while Caddy
// reloads, and compares the pool with a site of the same Caddy that responds with a
// constant. Caddy itself loses some of these connections: the kernel resets those in
// the accept queue of the old listener, and net/http closes those whose request it
// reads after Shutdown was called (golang/go#65805). None that has reached the pool
// may be lost.
func TestReload_NewConnections(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothSpawnModes, func(t *testing.T, b harness.Backend) {
		site := func(i int) string {
			return fmt.Sprintf(`http://127.0.0.1:{$PORT} {
	root {$SITE}
	%s
	php_pool {
		%s
		name main
		manager static
		workers 4
	}
}
http://127.0.0.1:{$PORT2} {
	%s
	respond "hello" %d
}
`, harness.AccessLog, strings.Join(b.Lines, "\n"), strings.ReplaceAll(harness.AccessLog, "access.log", "constant.log"), 200+i%2)
		}
		s := harness.Start(t, b, site(0))
		quit := make(chan struct{})
		pool, constant := &newConnections{port: s.Port, path: "/hello.php"}, &newConnections{port: s.Port + 1, path: "/"}
		for range 8 {
			pool.clients.Go(func() { pool.run(quit) })
			constant.clients.Go(func() { constant.run(quit) })
		}
		reloads := harness.Rounds(60)
		for i := range reloads {
			pool.waitServed(t, 20)
			s.MustReload(site(i + 1))
		}
		pool.waitServed(t, 20)
		close(quit)
		pool.clients.Wait()
		constant.clients.Wait()

		t.Logf("in %d reloads the pool lost %v, the constant %v", reloads, pool, constant)
		for _, c := range []*newConnections{pool, constant} {
			for _, err := range c.wrong {
				t.Errorf("%s: %v", c.path, err)
			}
		}
		// A lost request that is in the access log was lost after Caddy had passed it on.
		log := harness.ReadFile(t, filepath.Join(s.Dir, "access.log"))
		for _, id := range pool.lost {
			if strings.Contains(log, `"uri":"/hello.php?`+strconv.Itoa(id)+`"`) {
				t.Errorf("request %d reached the pool and was not answered", id)
			}
		}
		s.WantNoneFailed()
	})
}

// newConnections opens a connection for each request, and sorts the requests
// that were lost by how they were lost.
type newConnections struct {
	port    int
	path    string
	clients sync.WaitGroup

	next, served  atomic.Int64
	mu            sync.Mutex
	reset, closed int
	lost          []int   // the numbers of the requests that were reset or closed
	wrong         []error // other errors, up to ten
}

func (n *newConnections) String() string {
	return fmt.Sprintf("%d of %d (%d reset, %d closed without a response)", len(n.lost), n.next.Load(), n.reset, n.closed)
}

func (n *newConnections) run(quit <-chan struct{}) {
	for {
		select {
		case <-quit:
			return
		default:
		}
		id := int(n.next.Add(1))
		response, err := n.request(id)
		n.mu.Lock()
		switch {
		case strings.HasPrefix(response, "HTTP/1.1 20") && strings.HasSuffix(strings.TrimSpace(response), "hello") && err == nil:
			n.served.Add(1)
		case response == "" && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
			n.reset++
			n.lost = append(n.lost, id)
		case response == "" && err == nil:
			n.closed++
			n.lost = append(n.lost, id)
		case len(n.wrong) < 10:
			n.wrong = append(n.wrong, fmt.Errorf("request %d: %w: %.300q", id, err, response))
		}
		n.mu.Unlock()
	}
}

func (n *newConnections) request(id int) (string, error) {
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)))
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(harness.MaxWait))
	if _, err := fmt.Fprintf(c, "GET %s?%d HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", n.path, id); err != nil {
		return "", err
	}
	response, err := io.ReadAll(c)
	return string(response), err
}

func (n *newConnections) waitServed(t *testing.T, more int64) {
	t.Helper()
	want := n.served.Load() + more
	harness.Eventually(t, func() error {
		if got := n.served.Load(); got < want {
			return fmt.Errorf("%d requests served, want %d", got, want)
		}
		return nil
	})
}
