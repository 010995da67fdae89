//go:build linux

package harness

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

// Rounds returns how often a test under load repeats what it does: n times for
// each minute of -soak, and a fifth of that without the flag.
func Rounds(n int) int {
	minutes := 0.2
	if *soakFlag > 0 {
		minutes = soakFlag.Minutes()
	}
	return max(1, int(float64(n)*minutes))
}

// Traffic is the requests of several clients, which continue until Finish. Every
// response is checked, and also that Caddy received and PHP executed every request
// exactly once.
type Traffic struct {
	*Server
	path string // of load/check.php, or of a script with the same output

	// The mark in a response is the setting that its script ran with. It has to be
	// between these two. minMark rises to the marks that have been seen, because no
	// later request may run with an older setting.
	minMark, maxMark atomic.Int64

	sent     atomic.Int64 // the id of the next request
	resets   atomic.Int64 // connections that were reset before a response
	failures atomic.Int64
	quit     chan struct{}
	ended    sync.Once
	clients  sync.WaitGroup
}

// RequestLogLine is an option that gives load/check.php its log directory.
const RequestLogLine = "env BOOK {$DIR}/book"

// AccessLog is a directive that logs the requests that Caddy has received.
const AccessLog = "log {\noutput file {$DIR}/access.log {\nroll_disabled\n}\n}\n"

// TrafficSite is PoolSite with RequestLogLine and AccessLog.
func TrafficSite(b Backend, lines ...string) string {
	return strings.Replace(PoolSite(b, append([]string{RequestLogLine}, lines...)...), "php_pool {", AccessLog+"php_pool {", 1)
}

// StartTraffic starts the clients of a TrafficSite.
func (s *Server) StartTraffic(path string, clients int) *Traffic {
	s.T.Helper()
	logDir := filepath.Join(s.Dir, "book")
	if err := os.Mkdir(logDir, 0o755); err != nil {
		s.T.Fatal(err)
	}
	ChownToPHP(s.T, logDir)
	l := &Traffic{Server: s, path: path, quit: make(chan struct{})}
	for range clients {
		l.clients.Go(l.client)
	}
	s.T.Cleanup(l.Finish)
	// Return when requests are running.
	l.WaitRequests(10)
	return l
}

// RequireMark sets the mark that scripts have to run with from now on.
func (l *Traffic) RequireMark(mark int) {
	l.AllowMark(mark)
	raiseTo(&l.minMark, int64(mark))
}

// AllowMark sets a mark that scripts may run with from now on.
func (l *Traffic) AllowMark(mark int) { raiseTo(&l.maxMark, int64(mark)) }

func raiseTo(n *atomic.Int64, to int64) {
	for {
		if old := n.Load(); old >= to || n.CompareAndSwap(old, to) {
			return
		}
	}
}

// WaitRequests waits until n more requests have been started.
func (l *Traffic) WaitRequests(n int64) {
	l.T.Helper()
	want, limit := l.sent.Load()+n, time.After(MaxWait)
	for l.sent.Load() < want {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-limit:
			l.T.Fatalf("%d of %d requests have been sent", l.sent.Load(), want)
		}
	}
}

// Finish stops the clients, and compares the requests that they sent with those that
// Caddy received and PHP executed.
func (l *Traffic) Finish() {
	l.T.Helper()
	l.ended.Do(func() {
		close(l.quit)
		l.clients.Wait()
		ran, taken := l.executed(), l.logged()
		for id := range int(l.sent.Load()) {
			if ran[id] != 1 || taken[id] != 1 {
				l.fail(id, "Caddy received it %d times, and PHP executed it %d times", taken[id], ran[id])
			}
		}
		l.T.Logf("%d requests, each executed once; Caddy reset a connection %d times before it received a request",
			l.sent.Load(), l.resets.Load())
	})
}

// executed returns how often each request was executed, by the logs of the processes.
func (l *Traffic) executed() map[int]int {
	l.T.Helper()
	ran := map[int]int{}
	logDir := filepath.Join(l.Dir, "book")
	names, err := os.ReadDir(logDir)
	if err != nil {
		l.T.Fatal(err)
	}
	for _, name := range names {
		for line := range strings.Lines(ReadFile(l.T, filepath.Join(logDir, name.Name()))) {
			var id int
			if _, err := fmt.Sscan(line, &id); err != nil {
				l.T.Errorf("%s: %q", name.Name(), line)
			}
			ran[id]++
		}
	}
	return ran
}

// logged returns how often Caddy received each request, by its access log, which is
// written after the response.
func (l *Traffic) logged() (taken map[int]int) {
	l.T.Helper()
	before := `"uri":"` + l.path + "?"
	Eventually(l.T, func() error {
		taken = map[int]int{}
		for line := range strings.Lines(ReadFile(l.T, filepath.Join(l.Dir, "access.log"))) {
			if id, err := strconv.Atoi(Between(line, before, `"`)); err == nil {
				taken[id]++
			}
		}
		if len(taken) < int(l.sent.Load()) {
			return fmt.Errorf("%d requests are in the access log, want %d", len(taken), l.sent.Load())
		}
		return nil
	})
	return taken
}

// Between returns the part of a text between two others.
func Between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// client sends requests one after the other on a persistent connection.
func (l *Traffic) client() {
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: MaxWait}
	for {
		select {
		case <-l.quit:
			return
		default:
			l.send(c, int(l.sent.Add(1)-1))
		}
	}
}

// send sends the request with an id and checks the response. Half of them are GETs;
// the others have bodies that fit in memory or, from 64 KB, are spooled.
func (l *Traffic) send(c *http.Client, id int) {
	method, body := http.MethodGet, ""
	if id%2 == 1 {
		method = http.MethodPost
		body = fmt.Sprint(id, ":") + string(Pattern([]int{10, 3000, 20000, 100000}[id/2%4]))
	}
	from := l.minMark.Load()
	response, err := l.roundTrip(c, id, method, body)
	if err != nil {
		l.fail(id, "%v", err)
		return
	}
	head, echo, _ := strings.Cut(response, "\n")
	var number, length, mark, pid int
	var seen string
	if _, err := fmt.Sscan(head, &number, &seen, &length, &mark, &pid); err != nil {
		l.fail(id, "the response %.200q: %v", response, err)
		return
	}
	switch {
	case number != id || seen != method || length != len(body) || echo != body:
		l.fail(id, "%s with %d bytes: the response to another request, or a part of one: %q and %d bytes", method, len(body), head, len(echo))
	case int64(mark) < from || int64(mark) > l.maxMark.Load():
		l.fail(id, "it ran with mark %d, want %d to %d", mark, from, l.maxMark.Load())
	}
	raiseTo(&l.minMark, int64(mark))
}

// roundTrip sends a request until there is a response. In a reload Caddy resets
// connections that it has not accepted yet, and closes idle ones, perhaps while a
// request is on its way. Such a request is sent again, as any client would do, and
// Finish checks that it was not executed twice.
func (l *Traffic) roundTrip(c *http.Client, id int, method, body string) (string, error) {
	for tries := 0; ; tries++ {
		// A reader that net/http cannot rewind, or it would retry by itself.
		req, err := http.NewRequestWithContext(context.Background(), method, fmt.Sprintf("%s%s?%d", l.URL, l.path, id), struct{ io.Reader }{strings.NewReader(body)})
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
			l.resets.Add(1)
			continue
		}
		defer res.Body.Close()
		response, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s: %.200q", res.Status, response)
		}
		return string(response), err
	}
}

// fail reports a failed request, up to ten of them.
func (l *Traffic) fail(id int, format string, args ...any) {
	if l.failures.Add(1) <= 10 {
		l.T.Errorf("request %d: "+format, append([]any{id}, args...)...)
	}
}
