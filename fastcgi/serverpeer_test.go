package fastcgi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// testHandler responds with the value of the parameter A and the body. What else it
// does is in the value: see serve.
type testHandler struct {
	limits  Limits
	denied  atomic.Bool
	running chan struct{} // receives when a request waits
	release chan struct{} // lets it go on
	aborted chan struct{} // receives when a waiting request is given up
}

func newTestHandler() *testHandler {
	return &testHandler{
		limits: Limits{Connections: 100, Timeout: time.Minute}, running: make(chan struct{}, 100),
		release: make(chan struct{}), aborted: make(chan struct{}, 100),
	}
}

func (h *testHandler) Limits() Limits       { return h.limits }
func (h *testHandler) Allows(net.Addr) bool { return !h.denied.Load() }

func (h *testHandler) ServeFastCGI(r *ServerRequest) {
	_, value, _ := NextPair(r.Params())
	switch string(value) {
	case "unread":
		r.WriteStdout([]byte("unread"))
		return
	case "abort":
		r.WriteStdout([]byte("half"))
		r.Flush()
		r.Abort()
		return
	}
	body, err := io.ReadAll(r)
	if err != nil {
		r.Abort()
		return
	}
	if string(value) == "end" {
		r.Watch()
		time.Sleep(3 * watchDelay) // so that the connection is watched
		r.WriteStdout([]byte("ended"))
		r.End()
		time.Sleep(watchDelay) // so that the next request arrives meanwhile
		return
	}
	if string(value) == "wait" {
		r.Watch()
		h.running <- struct{}{}
		select {
		case <-h.release:
		case <-r.Context().Done():
			h.aborted <- struct{}{}
			return
		}
	}
	if strings.HasPrefix(string(value), "big") {
		r.WriteStdout(bytes.Repeat([]byte("x"), 200000))
	}
	r.WriteStderr([]byte("note"))
	r.WriteStdout(fmt.Appendf(nil, "%s %d %v %s", value, len(r.Params()), r.TooLarge(), body))
}

// testClient is a web server.
type testClient struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// startServer starts a server, and returns a function that connects to it.
func startServer(t *testing.T, h Handler) (*Server, func() *testClient) {
	t.Helper()
	l := listenAsPHP(t)
	s := NewServer(h)
	var served sync.WaitGroup
	served.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		l.Close()
		s.Close()
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		served.Wait()
	})
	return s, func() *testClient {
		t.Helper()
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute))
		return &testClient{t, c, bufio.NewReader(c)}
	}
}

func rec(typ recordType, id uint16, content string) string {
	return string(appendHeader(nil, typ, id, len(content))) + content
}

func begin(id uint16, role int, flags byte) string {
	return rec(typeBeginRequest, id, string([]byte{byte(role >> 8), byte(role), flags, 0, 0, 0, 0, 0}))
}

// incoming is a whole request with the parameter A.
func incoming(id uint16, keep byte, value, body string) string {
	pair, _ := AppendPair(nil, "A", value)
	text := begin(id, roleResponder, keep) + rec(typeParams, id, string(pair)) + rec(typeParams, id, "")
	if body != "" {
		text += rec(typeStdin, id, body)
	}
	return text + rec(typeStdin, id, "")
}

func (c *testClient) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next record, without its padding.
func (c *testClient) read() (typ recordType, id uint16, content string, err error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, 0, "", err
	}
	h := parseHeader(head[:])
	p := make([]byte, h.content+h.padding)
	if _, err := io.ReadFull(c.r, p); err != nil {
		return 0, 0, "", err
	}
	return h.typ, h.id, string(p[:h.content]), nil
}

// want reads a response up to its end, and compares STDOUT and the status.
func (c *testClient) want(id uint16, stdout string, status endStatus) {
	c.t.Helper()
	got := ""
	for {
		typ, gotID, content, err := c.read()
		switch {
		case err != nil:
			c.t.Fatalf("after %q: %v", got, err)
		case gotID != id:
			c.t.Fatalf("record of type %d for request %d, want %d", typ, gotID, id)
		case typ == typeStdout:
			got += content
		case typ == typeEndRequest:
			if got != stdout || endStatus(content[4]) != status {
				c.t.Fatalf("got %q, %v, want %q, %v", got, endStatus(content[4]), stdout, status)
			}
			return
		}
	}
}

// wantEOF checks that the server closes the connection.
func (c *testClient) wantEOF() {
	c.t.Helper()
	if _, _, content, err := c.read(); !errors.Is(err, io.EOF) && !errors.Is(err, errReset) {
		c.t.Errorf("got %q, %v, want the end of the connection", content, err)
	}
}

// waitIdle waits until n connections are idle: they are a moment after their response.
func waitIdle(t *testing.T, s *Server, n int) {
	t.Helper()
	for {
		s.mu.Lock()
		idle := 0
		for c := range s.conns {
			if c.idleSince.Load() != 0 {
				idle++
			}
		}
		s.mu.Unlock()
		if idle == n {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%d connections are idle, want %d", idle, n)
		}
		time.Sleep(time.Millisecond)
	}
}
