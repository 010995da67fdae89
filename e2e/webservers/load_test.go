//go:build linux

package webservers

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// load is the requests of several clients through a web server, until stop.
type load struct {
	t    *testing.T
	done atomic.Int64 // responses that were right
	quit chan struct{}
	all  sync.WaitGroup
	end  sync.Once

	mu       sync.Mutex
	failures []string
}

// startLoad starts clients that request a path whose body is known.
func startLoad(t *testing.T, port, clients int, method, path, want string) *load {
	t.Helper()
	l := &load{t: t, quit: make(chan struct{})}
	url := fmt.Sprintf("http://127.0.0.1:%d%s", port, path)
	for range clients {
		l.all.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: harness.MaxWait}
			for {
				select {
				case <-l.quit:
					return
				default:
					l.request(client, method, url, want)
				}
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) request(client *http.Client, method, url, want string) {
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader("a=1")
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		l.fail(err.Error())
		return
	}
	res, err := client.Do(req)
	if err != nil {
		l.fail(err.Error())
		return
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || string(text) != want {
		l.fail(fmt.Sprintf("%s, %v: %.200q", res.Status, err, text))
		return
	}
	l.done.Add(1)
}

func (l *load) fail(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, why)
}

// wait waits until n more requests have got their response.
func (l *load) wait(n int64) {
	l.t.Helper()
	want, limit := l.done.Load()+n, time.Now().Add(harness.MaxWait)
	for l.done.Load() < want {
		if time.Now().After(limit) {
			l.t.Fatalf("%d responses, want %d", l.done.Load(), want)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// stop waits for the clients.
func (l *load) stop() {
	l.end.Do(func() {
		close(l.quit)
		l.all.Wait()
	})
}

// wantNoFailures stops the clients and reports the requests that failed.
func (l *load) wantNoFailures() {
	l.t.Helper()
	l.stop()
	if n := len(l.failures); n > 0 {
		l.t.Errorf("%d of %d requests failed, for instance %q", n, int64(n)+l.done.Load(), l.failures[:min(n, 5)])
	}
}
