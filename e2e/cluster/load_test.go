//go:build linux

package cluster

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// record is one request of a client, and what came of it.
type record struct {
	start, end    time.Time
	method        string
	status        int    // 0 without a response
	node, release string // "" for HEAD
	err           error
}

func (r *record) String() string {
	return fmt.Sprintf("%s: %d from %q after %v: %v", r.method, r.status, r.node, r.end.Sub(r.start).Round(time.Millisecond), r.err)
}

// load is clients of the balancer. They send all kinds of requests until stop.
type load struct {
	c    *cluster
	quit chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	records []record
}

// pageText matches the response of the application.
var pageText = regexp.MustCompile(`^node=(\S+) release=(\S+) n=(\d+) id=(\S+) body=(\S*) `)

// startLoad starts clients, each with its own session. Every fourth request of each
// takes slow.
func (c *cluster) startLoad(clients int, slow time.Duration) *load {
	l := &load{c: c, quit: make(chan struct{})}
	for i := range clients {
		client := c.client("front")
		session := fmt.Sprintf("%s%d-%d", strings.ToLower(strings.ReplaceAll(c.t.Name(), "/", "")[:4]), time.Now().UnixNano(), i)
		l.wg.Go(func() {
			last := 0
			for k := 0; ; k++ {
				select {
				case <-l.quit:
					return
				case <-time.After(5 * time.Millisecond):
				}
				id := fmt.Sprintf("%d-%d", i, k)
				r := record{start: time.Now(), method: []string{"GET", "GET", "POST", "HEAD"}[k%4]}
				path := "/?id=" + id
				if k%4 == 1 {
					path += fmt.Sprint("&sleep=", slow.Milliseconds())
				}
				last = r.send(client, c.front.URL+path, id, session, last)
				r.end = time.Now()
				l.mu.Lock()
				l.records = append(l.records, r)
				l.mu.Unlock()
			}
		})
	}
	return l
}

// send sends the request and checks that the response belongs to it, and that the session
// is not an older one than last. It returns the counter of the session.
func (r *record) send(client *http.Client, url, id, session string, last int) int {
	body := ""
	if r.method == http.MethodPost {
		body = "b" + id
	}
	req, err := http.NewRequest(r.method, url, strings.NewReader(body))
	if err != nil {
		r.err = err
		return last
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Cookie", "PHPSESSID="+session)
	res, err := client.Do(req)
	if err != nil {
		r.err = err
		return last
	}
	defer res.Body.Close()
	r.status = res.StatusCode
	text, err := io.ReadAll(res.Body)
	m := pageText.FindStringSubmatch(string(text))
	switch {
	case err != nil:
		r.err = err
	case r.status != http.StatusOK:
		r.err = fmt.Errorf("status %d: %.60q", r.status, text)
	case r.method == http.MethodHead:
	case m == nil:
		r.err = fmt.Errorf("not from the application: %.60q", text)
	default:
		r.node, r.release = m[1], m[2]
		n, _ := strconv.Atoi(m[3])
		if m[4] != id || m[5] != body {
			r.err = fmt.Errorf("mixed up: %q for %s", text, id)
		}
		if n <= last {
			r.err = fmt.Errorf("session lost: %d after %d", n, last)
		}
		return n
	}
	return last
}

// all returns the requests that have ended so far.
func (l *load) all() []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

// wait waits for n further requests.
func (l *load) wait(n int) {
	l.c.t.Helper()
	before := len(l.all())
	harness.Eventually(l.c.t, func() error {
		if got := len(l.all()) - before; got < n {
			return fmt.Errorf("%d requests, want %d", got, n)
		}
		return nil
	})
}

// waitShares waits until each of the nodes has served a share of the last requests.
func (l *load) waitShares(t *testing.T, share float64, nodes ...string) {
	t.Helper()
	harness.Eventually(t, func() error {
		got := map[string]int{}
		list := slices.DeleteFunc(l.all(), func(r record) bool { return r.node == "" })
		list = list[max(0, len(list)-100):]
		for _, r := range list {
			got[r.node]++
		}
		for _, node := range nodes {
			if float64(got[node]) < share*100 {
				return fmt.Errorf("%v of the last %d requests, want %.0f %% for each of %v", got, len(list), 100*share, nodes)
			}
		}
		return nil
	})
}

// waitAway waits until a node has served none of the last requests.
func (l *load) waitAway(t *testing.T, node string) {
	t.Helper()
	harness.Eventually(t, func() error {
		list := slices.DeleteFunc(l.all(), func(r record) bool { return r.node == "" })
		for _, r := range list[max(0, len(list)-100):] {
			if r.node == node {
				return fmt.Errorf("%s still gets requests", node)
			}
		}
		return nil
	})
}

// stop ends the load. It returns the requests that failed.
func (l *load) stop() (failed []record) {
	close(l.quit)
	l.wg.Wait()
	for _, r := range l.all() {
		if r.err != nil {
			failed = append(failed, r)
		}
	}
	return failed
}

// wantNone checks that no request has failed.
func wantNone(t *testing.T, l *load, failed []record) {
	t.Helper()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %v", len(failed), len(l.all()), summary(failed))
	}
}

// summary lists the first requests.
func summary(list []record) string {
	var lines []string
	for i := range list[:min(5, len(list))] {
		lines = append(lines, list[i].String())
	}
	return strings.Join(lines, "; ")
}
