package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

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

// The next request may arrive before the response to the first is written, and nothing
// after it that would wake the connection. If the first runs for long, it is refused.
func TestServer_SecondRequestBeforeTheResponse(t *testing.T) {
	h := newTestHandler()
	_, dial := startServer(t, h)
	c := dial()
	for id := uint16(1); id < 21; id += 2 {
		c.send(incoming(id, flagKeepConn, "wait", ""))
		<-h.running
		c.send(incoming(id+1, flagKeepConn, "b", "x"))
		time.Sleep(watchDelay / 4) // the server's poller notices it
		h.release <- struct{}{}
		for ended := 0; ended < 2; {
			typ, _, _, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if typ == typeEndRequest {
				ended++
			}
		}
	}
}

// A web server may send the next request as soon as it has END_REQUEST, though the handler
// has not returned.
func TestServer_NextRequestAfterTheEnd(t *testing.T) {
	_, dial := startServer(t, newTestHandler())
	c := dial()
	for id := uint16(1); id < 6; id++ {
		c.send(incoming(id, flagKeepConn, "end", ""))
		c.want(id, "ended", requestComplete)
	}
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
