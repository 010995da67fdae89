package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// parseResponse is a simple decoder to compare with: it returns the size of the
// records up to END_REQUEST, and their STDOUT. ok is false if the response is
// invalid or incomplete.
func parseResponse(wire []byte) (size int, stdout []byte, ok bool) {
	for size+8 <= len(wire) {
		h := wire[size:]
		content, padding := int(h[4])<<8|int(h[5]), int(h[6])
		if h[0] != 1 || h[2] != 0 || h[3] != 1 || len(h) < 8+content+padding {
			return 0, nil, false
		}
		size += 8 + content + padding
		switch h[1] {
		case fastcgitest.TypeStdout:
			stdout = append(stdout, h[8:8+content]...)
		case fastcgitest.TypeStderr:
		case fastcgitest.TypeEndRequest:
			return size, stdout, content == 8
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}

// bodyReaders are the ways to read a body. The last one closes it unread.
var bodyReaders = []func(*Body) ([]byte, error){
	func(b *Body) ([]byte, error) { return io.ReadAll(b) },
	func(b *Body) ([]byte, error) {
		b.Fill(MaxFill)
		return io.ReadAll(b)
	},
	func(b *Body) (all []byte, err error) {
		for {
			b.Ready()
			p, err := b.Next()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return all, err
			}
			all = append(all, p...)
		}
	},
	func(b *Body) ([]byte, error) { return nil, b.Close() },
}

// FuzzConn responds with arbitrary bytes in pieces of any size. It checks that
// nothing panics or hangs, and that the connection is reusable only after the
// records of exactly one response.
func FuzzConn(f *testing.F) {
	for i := range uint8(16) {
		f.Add(fastcgitest.Encode(fastcgitest.OK("hello"), requestID), uint16(i)*9, i)
		f.Add(fastcgitest.Encode(fastcgitest.Response{
			fastcgitest.Stderr("x"), fastcgitest.Reply("Content-Length: 9\r\n\r\nhello")[0], fastcgitest.EndStatus(1, 0), fastcgitest.Raw([]byte("stray")),
		}, requestID), uint16(i), i)
	}
	l := listenAsPHP(f)
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, wire []byte, pieces uint16, how uint8) {
		client, server := net.Pipe()
		if how&8 != 0 {
			client.Close()
			var err error
			if client, err = net.Dial(l.Addr().Network(), l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			if server, err = l.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			sendWire(server, wire, int(pieces))
		}()
		c := NewConn(client)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		resp, err := c.RoundTrip(ctx, get())
		var body []byte
		if err == nil {
			body, err = bodyReaders[how%4](resp.Body.(*Body))
			resp.Body.Close()
		}
		if ctx.Err() != nil {
			t.Fatal("timeout")
		}
		checkConn(t, c, wire, body, err, how%4 == 3)
		c.Close()
		<-done
	})
}

// sendWire reads a request and writes wire in pieces of pieces+1 bytes.
func sendWire(server net.Conn, wire []byte, pieces int) {
	defer server.Close()
	if _, err := server.Read(make([]byte, 64<<10)); err != nil {
		return
	}
	for len(wire) > 0 {
		n := min(pieces+1, len(wire))
		if _, err := server.Write(wire[:n]); err != nil {
			return
		}
		wire = wire[n:]
	}
}

// checkConn checks the state of c after the response wire. closedEarly says that
// the body was closed unread.
func checkConn(t *testing.T, c *Conn, wire, body []byte, err error, closedEarly bool) {
	t.Helper()
	size, stdout, ok := parseResponse(wire)
	if c.Reusable() && (!ok || c.Broken()) {
		t.Errorf("reusable after %q (broken: %v)", wire, c.Broken())
	}
	if ok && size == len(wire) && !closedEarly && (!c.Reusable() || c.Broken()) {
		t.Errorf("after a complete response: got reusable %v, broken %v", c.Reusable(), c.Broken())
	}
	if !ok && err == nil && !closedEarly {
		t.Errorf("no error after %q", wire)
	}
	if len(body) > len(stdout) && ok {
		t.Errorf("got a body of %d bytes, but STDOUT has only %d", len(body), len(stdout))
	}
}
