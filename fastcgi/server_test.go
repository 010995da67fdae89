package fastcgi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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
	if runtime.GOOS == "windows" {
		t.Skip("the tests use Unix sockets")
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
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
		c, err := net.Dial("unix", l.Addr().String())
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
	if _, _, content, err := c.read(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("got %q, %v, want the end of the connection", content, err)
	}
}

func TestServer_NewConnections(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	c.send(incoming(1, 0, "hello", "body"))
	c.want(1, "hello 8 false body", requestComplete)
	c.wantEOF()
	c.send(rec(typeStdin, 1, "late")) // must not be answered by a reset
}

func TestServer_KeptConnections(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	for i, text := range []string{"a", "b", "unread", "big"} {
		id := uint16(i + 1)
		c.send(incoming(id, flagKeepConn, text, strings.Repeat("b", 20000*i)))
		want := fmt.Sprintf("%s %d false %s", text, 3+len(text), strings.Repeat("b", 20000*i))
		switch text {
		case "unread":
			want = "unread"
		case "big":
			want = strings.Repeat("x", 200000) + want
		}
		c.want(id, want, requestComplete)
	}
	c.send(incoming(9, 0, "last", ""))
	c.want(9, "last 7 false ", requestComplete)
	c.wantEOF()
}

// The next request may be written before the response to the first was read.
func TestServer_SecondRequestAfterTheFirst(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	c.send(incoming(1, flagKeepConn, "a", "") + incoming(2, flagKeepConn, "b", "x"))
	c.want(1, "a 4 false ", requestComplete)
	c.want(2, "b 4 false x", requestComplete)
}

func TestServer_SecondRequestDuringTheFirst(t *testing.T) {
	h := newTestHandler()
	_, dial := startServer(t, h)
	c := dial()
	c.send(incoming(1, flagKeepConn, "wait", ""))
	<-h.running
	c.send(incoming(2, flagKeepConn, "b", "x"))
	c.want(2, "", cantMultiplex)
	h.release <- struct{}{}
	c.want(1, "wait 7 false ", requestComplete)
	c.send(incoming(2, flagKeepConn, "b", "x"))
	c.want(2, "b 4 false x", requestComplete)
}

func TestServer_RefusesOtherRoles(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	c.send(begin(1, 3, flagKeepConn) + rec(typeParams, 1, "") + rec(typeStdin, 1, ""))
	c.want(1, "", unknownRole)
	c.send(incoming(2, flagKeepConn, "a", ""))
	c.want(2, "a 4 false ", requestComplete)
}

func TestServer_ManagementRecords(t *testing.T) {
	h := newTestHandler()
	_, dial := startServer(t, h)
	c := dial()
	names := "\x0e\x00FCGI_MAX_CONNS\x0f\x00FCGI_MPXS_CONNS\x05\x00OTHER"
	c.send(rec(typeGetValues, 0, names))
	want := "\x0e\x03FCGI_MAX_CONNS100\x0f\x01FCGI_MPXS_CONNS0"
	if typ, id, content, err := c.read(); typ != typeGetValuesResult || id != 0 || content != want {
		t.Errorf("got %d, %d, %q, %v", typ, id, content, err)
	}
	c.send(rec(77, 0, "x"))
	if typ, id, content, err := c.read(); typ != typeUnknownType || id != 0 || content != "\x4d\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("got %d, %d, %q, %v", typ, id, content, err)
	}
	c.send(incoming(1, flagKeepConn, "wait", ""))
	<-h.running
	c.send(rec(typeGetValues, 0, names))
	if typ, _, content, err := c.read(); typ != typeGetValuesResult || content != want {
		t.Errorf("during a request: got %d, %q, %v", typ, content, err)
	}
	h.release <- struct{}{}
	c.want(1, "wait 7 false ", requestComplete)
}

func TestServer_Abort(t *testing.T) {
	h := newTestHandler()
	_, dial := startServer(t, h)
	c := dial()
	c.send(incoming(1, flagKeepConn, "a", ""))
	c.want(1, "a 4 false ", requestComplete)
	c.send(rec(typeAbortRequest, 1, "")) // of a request that has ended
	c.send(incoming(1, flagKeepConn, "wait", ""))
	<-h.running
	c.send(rec(typeAbortRequest, 2, ""))
	c.send(rec(typeAbortRequest, 1, ""))
	<-h.aborted

	closed := dial()
	closed.send(incoming(1, flagKeepConn, "wait", ""))
	<-h.running
	closed.Close()
	<-h.aborted
}

// Some clients close their half of the connection when they have sent the request.
func TestServer_HalfClosed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	h := newTestHandler()
	_, dial := startServer(t, h)
	c := dial()
	c.send(incoming(1, 0, "wait", ""))
	if err := c.Conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-h.running
	time.Sleep(3 * watchDelay) // it is seen meanwhile
	h.release <- struct{}{}
	c.want(1, "wait 7 false ", requestComplete)
	c.wantEOF()
}

func TestServer_Parameters(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	pair, err := AppendPair(nil, "A", strings.Repeat("v", 1000))
	if err != nil {
		t.Fatal(err)
	}
	text := begin(1, roleResponder, flagKeepConn)
	for _, part := range []string{string(pair[:1]), string(pair[1:700]), string(pair[700:])} { // php-cgi does not accept this
		text += rec(typeParams, 1, part)
	}
	c.send(text + rec(typeParams, 1, "") + rec(typeStdin, 1, ""))
	c.want(1, fmt.Sprintf("%s %d false ", strings.Repeat("v", 1000), len(pair)), requestComplete)

	c.send(begin(2, roleResponder, flagKeepConn) + rec(typeParams, 2, "\x01\x01Ab"))
	for range MaxParams/60000 + 1 {
		c.send(rec(typeParams, 2, strings.Repeat("p", 60000)))
	}
	c.send(rec(typeParams, 2, "") + rec(typeStdin, 2, ""))
	c.want(2, fmt.Sprintf("b %d true ", MaxParams), requestComplete)
}

// A response that cannot be completed ends with the connection.
func TestServer_AbortedResponse(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	c.send(incoming(1, flagKeepConn, "abort", ""))
	if typ, _, content, err := c.read(); typ != typeStdout || content != "half" {
		t.Errorf("got %d, %q, %v", typ, content, err)
	}
	c.wantEOF()
}

func TestServer_MalformedRecordsEndTheConnection(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	for _, text := range []string{
		"\x02\x01\x00\x01\x00\x08\x00\x00........",
		rec(typeBeginRequest, 1, "short"),
		rec(typeGetValues, 0, strings.Repeat("n", serverBufferSize)),
		rec(typeGetValues, 0, "\x20\x00A"),
	} {
		c := dial()
		c.send(text)
		c.wantEOF()
	}
}

func TestServer_HalfARequestTimesOut(t *testing.T) {
	h := newTestHandler()
	h.limits.Timeout = 50 * time.Millisecond
	_, dial := startServer(t, h)
	whole := incoming(1, flagKeepConn, "a", "body")
	for _, n := range []int{headerLen + 8, headerLen + 8 + 3, len(whole) - headerLen - 5, len(whole) - headerLen - 1} {
		c := dial()
		c.send(whole[:n])
		c.wantEOF()
	}
	c := dial()
	c.send(whole)
	c.want(1, "a 4 false body", requestComplete)
	time.Sleep(3 * h.limits.Timeout) // an idle connection has no limit
	c.send(whole)
	c.want(1, "a 4 false body", requestComplete)
}

func TestServer_TooManyConnections(t *testing.T) {
	h := newTestHandler()
	h.limits.Connections = 3
	s, dial := startServer(t, h)
	busy, oldest := dial(), dial()
	busy.send(incoming(1, flagKeepConn, "wait", ""))
	<-h.running
	oldest.send(incoming(1, flagKeepConn, "a", ""))
	oldest.want(1, "a 4 false ", requestComplete)
	waitIdle(t, s, 1)
	newest := dial()
	newest.send(incoming(1, flagKeepConn, "a", ""))
	newest.want(1, "a 4 false ", requestComplete)
	waitIdle(t, s, 2)

	another := dial()
	another.send(incoming(1, flagKeepConn, "a", ""))
	another.want(1, "a 4 false ", requestComplete)
	oldest.wantEOF()
	newest.send(incoming(2, flagKeepConn, "b", ""))
	newest.want(2, "b 4 false ", requestComplete)
	h.release <- struct{}{}
	busy.want(1, "wait 7 false ", requestComplete)
	if n := s.Connections(); n > 3 {
		t.Errorf("got %d connections", n)
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

// Requests go to the next handler, on connections that exist already too, and one that
// it does not allow is closed.
func TestServer_SetHandler(t *testing.T) {
	first, second := newTestHandler(), newTestHandler()
	s, dial := startServer(t, first)
	running, idle := dial(), dial()
	running.send(incoming(1, flagKeepConn, "wait", ""))
	<-first.running
	idle.send(incoming(1, flagKeepConn, "a", ""))
	idle.want(1, "a 4 false ", requestComplete)
	s.SetHandler(second)
	first.release <- struct{}{}
	running.want(1, "wait 7 false ", requestComplete)
	running.send(incoming(2, flagKeepConn, "wait", ""))
	<-second.running
	second.release <- struct{}{}
	running.want(2, "wait 7 false ", requestComplete)

	third := newTestHandler()
	third.denied.Store(true)
	s.SetHandler(third)
	idle.send(incoming(2, flagKeepConn, "a", ""))
	idle.wantEOF()
	denied := dial()
	denied.wantEOF()
}

func TestServer_Shutdown(t *testing.T) {
	h := newTestHandler()
	s, dial := startServer(t, h)
	running, idle := dial(), dial()
	running.send(incoming(1, flagKeepConn, "wait", ""))
	<-h.running
	idle.send(incoming(1, flagKeepConn, "a", ""))
	idle.want(1, "a 4 false ", requestComplete)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v while a request runs", err)
	}
	idle.wantEOF()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	h.release <- struct{}{}
	running.want(1, "wait 7 false ", requestComplete)
	running.wantEOF()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// memoryConn is a connection of which all that arrives is known.
type memoryConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *memoryConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *memoryConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *memoryConn) Close() error                     { return nil }
func (c *memoryConn) CloseWrite() error                { return nil }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// Whatever a web server sends: the server writes whole records for requests that have
// started, and holds no more than its limits.
func FuzzServer(f *testing.F) {
	f.Add([]byte(incoming(1, flagKeepConn, "a", "body") + incoming(2, 0, "big", "")))
	f.Add([]byte(incoming(1, flagKeepConn, "unread", "body") + rec(typeAbortRequest, 1, "") + incoming(1, 0, "b", "")))
	f.Add([]byte(begin(1, 3, 1) + rec(typeGetValues, 0, "\x0e\x00FCGI_MAX_CONNS") + rec(77, 0, "x") + incoming(3, 0, "abort", "x")))
	f.Add([]byte(begin(1, roleResponder, 1) + begin(2, roleResponder, 1) + rec(typeParams, 1, "\x01\x01Ab") + rec(typeParams, 1, "") + rec(typeData, 1, "d")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		if bytes.Contains(wire, []byte("wait")) {
			return
		}
		c := &memoryConn{in: bytes.NewReader(wire)}
		h := newTestHandler()
		s := NewServer(h)
		newServerConn(s, c, s.handler.Load()).serve()
		started := map[uint16]bool{0: true}
		for rest := wire; len(rest) >= headerLen; rest = rest[1:] {
			if rest[1] == byte(typeBeginRequest) {
				started[binary.BigEndian.Uint16(rest[2:])] = true
			}
		}
		aborted := false
		for out := c.out.Bytes(); len(out) > 0; {
			if len(out) < headerLen {
				t.Fatalf("%d stray bytes", len(out))
			}
			r := parseHeader(out)
			size := headerLen + r.content + r.padding
			switch {
			case r.version != version1 || size > len(out) || !started[r.id]:
				t.Fatalf("got record %+v, of %d bytes", r, len(out))
			case aborted:
				t.Fatal("a record follows an incomplete response")
			case r.typ == typeStdout && string(out[headerLen:headerLen+r.content]) == "half":
				aborted = true
			}
			out = out[size:]
		}
	})
}

func TestAllocations_ServerRequest(t *testing.T) {
	h := quietHandler{}
	s := NewServer(h)
	request := incoming(1, flagKeepConn, "a", "")
	c := &memoryConn{in: bytes.NewReader(nil)}
	conn := newServerConn(s, c, s.handler.Load())
	if n := testing.AllocsPerRun(1000, func() {
		c.in.Reset([]byte(request))
		c.out.Reset()
		conn.err = nil
		r := conn.receive()
		if r == nil {
			t.Fatal("no request")
		}
		r.handler.ServeFastCGI(r)
		if !r.finish() {
			t.Fatal("the connection has ended")
		}
		r.free()
		conn.setIdle()
	}); n > 1 { // the copy of the request
		t.Errorf("got %v allocations, want at most 1", n)
	}
}

// quietHandler responds with a few bytes.
type quietHandler struct{}

func (quietHandler) Limits() Limits       { return Limits{Connections: 10, Timeout: time.Minute} }
func (quietHandler) Allows(net.Addr) bool { return true }

var quietResponse = []byte("Content-type: text/html\r\n\r\nhello")

func (quietHandler) ServeFastCGI(r *ServerRequest) {
	if some, err := r.HasBody(); some || err != nil {
		return
	}
	r.Watch()
	r.WriteStdout(quietResponse) //nolint:errcheck // memoryConn returns no error
}
