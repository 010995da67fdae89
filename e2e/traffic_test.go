//go:build linux

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var soakFlag = flag.Duration("soak", 0, "about how long all tests under load take together; the longer, the more rounds each of them does")

// rounds returns how often a test under load repeats what it does: n times for
// each minute of -soak, and a fifth of that without the flag.
func rounds(n int) int {
	minutes := 0.2
	if *soakFlag > 0 {
		minutes = soakFlag.Minutes()
	}
	return max(1, int(float64(n)*minutes))
}

// traffic is requests of several clients that go on until it is ended. Every
// answer is checked, and that Caddy has taken and PHP has run every request
// exactly once.
type traffic struct {
	*server
	path string // of load/check.php, or a script that answers like it

	// What an answer says that its script ran with is from the first number to
	// the second. The first rises to what has been seen: nothing goes back.
	from, to atomic.Int64

	next     atomic.Int64 // the number of the next request
	repeated atomic.Int64 // connections that were reset before an answer
	troubles atomic.Int64
	quit     chan struct{}
	ended    sync.Once
	clients  sync.WaitGroup
}

// bookLine tells load/check.php where to write down what it has run.
const bookLine = "env BOOK {$DIR}/book"

// accessLog is where Caddy writes down what it has taken.
const accessLog = "log {\noutput file {$DIR}/access.log {\nroll_disabled\n}\n}\n"

// loadSite is poolSite for scripts that write down what they have run.
func loadSite(b backend, lines ...string) string {
	return strings.Replace(poolSite(b, append([]string{bookLine}, lines...)...), "php_pool {", accessLog+"php_pool {", 1)
}

// load starts so many clients of a site that has bookLine and accessLog.
func (s *server) load(path string, clients int) *traffic {
	s.t.Helper()
	book := filepath.Join(s.dir, "book")
	if err := os.Mkdir(book, 0o755); err != nil {
		s.t.Fatal(err)
	}
	giveToPHP(s.t, book)
	l := &traffic{server: s, path: path, quit: make(chan struct{})}
	for range clients {
		l.clients.Go(l.client)
	}
	s.t.Cleanup(l.end)
	// What follows has to happen while requests run.
	l.more(10)
	return l
}

// set says what scripts run with from now on.
func (l *traffic) set(mark int) {
	l.allow(mark)
	raise(&l.from, int64(mark))
}

// allow says what scripts may run with from now on.
func (l *traffic) allow(mark int) { raise(&l.to, int64(mark)) }

func raise(n *atomic.Int64, to int64) {
	for {
		if old := n.Load(); old >= to || n.CompareAndSwap(old, to) {
			return
		}
	}
}

// more waits until n more requests have begun.
func (l *traffic) more(n int64) {
	l.t.Helper()
	want, limit := l.next.Load()+n, time.After(maxWait)
	for l.next.Load() < want {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-limit:
			l.t.Fatalf("%d of %d requests have been sent", l.next.Load(), want)
		}
	}
}

// end lets the clients finish, and compares what has been answered with what
// was taken by Caddy and run by PHP.
func (l *traffic) end() {
	l.t.Helper()
	l.ended.Do(func() {
		close(l.quit)
		l.clients.Wait()
		ran, taken := l.ran(), l.taken()
		for id := range int(l.next.Load()) {
			if ran[id] != 1 || taken[id] != 1 {
				l.trouble(id, "Caddy has taken it %d times, and PHP has run it %d times", taken[id], ran[id])
			}
		}
		l.t.Logf("%d requests, each run once; %d times Caddy reset a connection before it had taken a request",
			l.next.Load(), l.repeated.Load())
	})
}

// ran is how often each request was run, by what the processes wrote down.
func (l *traffic) ran() map[int]int {
	l.t.Helper()
	ran := map[int]int{}
	book := filepath.Join(l.dir, "book")
	names, err := os.ReadDir(book)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range names {
		for line := range strings.Lines(readFile(l.t, filepath.Join(book, name.Name()))) {
			var id int
			if _, err := fmt.Sscan(line, &id); err != nil {
				l.t.Errorf("%s: %q", name.Name(), line)
			}
			ran[id]++
		}
	}
	return ran
}

// taken is how often each request came to Caddy's handlers, by its access log,
// which it writes when a request has been answered.
func (l *traffic) taken() (taken map[int]int) {
	l.t.Helper()
	before := `"uri":"` + l.path + "?"
	eventually(l.t, func() error {
		taken = map[int]int{}
		for line := range strings.Lines(readFile(l.t, filepath.Join(l.dir, "access.log"))) {
			if id, err := strconv.Atoi(between(line, before, `"`)); err == nil {
				taken[id]++
			}
		}
		if len(taken) < int(l.next.Load()) {
			return fmt.Errorf("%d requests are in the access log, want %d", len(taken), l.next.Load())
		}
		return nil
	})
	return taken
}

// between is what stands in a text between two others.
func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// client sends one request after the other on a connection that it keeps.
func (l *traffic) client() {
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: maxWait}
	for {
		select {
		case <-l.quit:
			return
		default:
			l.send(c, int(l.next.Add(1)-1))
		}
	}
}

// send makes the request of that number and checks the answer: half are GETs,
// the others have bodies that fit in memory or, from 64 KB, do not.
func (l *traffic) send(c *http.Client, id int) {
	method, body := http.MethodGet, ""
	if id%2 == 1 {
		method = http.MethodPost
		body = fmt.Sprint(id, ":") + string(pattern([]int{10, 3000, 20000, 100000}[id/2%4]))
	}
	from := l.from.Load()
	answer, err := l.ask(c, id, method, body)
	if err != nil {
		l.trouble(id, "%v", err)
		return
	}
	head, echo, _ := strings.Cut(answer, "\n")
	var number, length, mark, pid int
	var seen string
	if _, err := fmt.Sscan(head, &number, &seen, &length, &mark, &pid); err != nil {
		l.trouble(id, "the answer %.200q: %v", answer, err)
		return
	}
	switch {
	case number != id || seen != method || length != len(body) || echo != body:
		l.trouble(id, "%s with %d bytes: the answer of another request, or half of one: %q and %d bytes", method, len(body), head, len(echo))
	case int64(mark) < from || int64(mark) > l.to.Load():
		l.trouble(id, "it ran with %d, want from %d to %d", mark, from, l.to.Load())
	}
	raise(&l.from, int64(mark))
}

// ask sends a request until there is an answer. In a reload Caddy resets
// connections that it has not accepted yet, and closes idle ones, perhaps while
// a request is on its way: such a request is sent again, as any client would,
// and the book tells whether it had been run after all.
func (l *traffic) ask(c *http.Client, id int, method, body string) (string, error) {
	for tries := 0; ; tries++ {
		// Not a reader that net/http could rewind: it would repeat by itself.
		req, err := http.NewRequestWithContext(context.Background(), method, fmt.Sprintf("%s%s?%d", l.url, l.path, id), struct{ io.Reader }{strings.NewReader(body)})
		if err != nil {
			return "", err
		}
		if id%4 == 1 {
			req.ContentLength = int64(len(body)) // else chunked
		}
		res, err := c.Do(req)
		if err != nil {
			reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
				errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "server closed idle connection")
			if !reset || tries == 50 {
				return "", err
			}
			l.repeated.Add(1)
			continue
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s: %.200q", res.Status, answer)
		}
		return string(answer), err
	}
}

// trouble reports a request, unless too many have been.
func (l *traffic) trouble(id int, format string, args ...any) {
	if l.troubles.Add(1) <= 10 {
		l.t.Errorf("request %d: "+format, append([]any{id}, args...)...)
	}
}
