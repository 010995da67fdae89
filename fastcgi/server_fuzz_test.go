package fastcgi

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

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
	r.WriteStdout(quietResponse)
}
