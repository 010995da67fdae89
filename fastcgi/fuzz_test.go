package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// wellFormed judges a response in the plainest way: which part of it is the
// records of one request up to END_REQUEST, and what STDOUT was in them.
func wellFormed(wire []byte) (size int, stdout []byte, ok bool) {
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

// readers are the ways to deal with a body.
var readers = []func(*Body) ([]byte, error){
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

// FuzzConn lets a responder send any bytes, in pieces of any size: never a
// panic, never a hang, and the connection is reusable only if what came was the
// records of one request.
func FuzzConn(f *testing.F) {
	for i := range uint8(16) {
		f.Add(fastcgitest.Encode(fastcgitest.OK("hello"), requestID), uint16(i)*9, i)
		f.Add(fastcgitest.Encode(fastcgitest.Answer{
			fastcgitest.Stderr("x"), fastcgitest.Reply("Content-Length: 9\r\n\r\nhello")[0], fastcgitest.EndStatus(1, 0), fastcgitest.Raw([]byte("stray")),
		}, requestID), uint16(i), i)
	}
	l, err := net.Listen("unix", filepath.Join(f.TempDir(), "socket"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, wire []byte, pieces uint16, how uint8) {
		client, server := net.Pipe()
		if how&8 != 0 {
			client.Close()
			if client, err = net.Dial("unix", l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			if server, err = l.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			respond(server, wire, int(pieces))
		}()
		c := NewConn(client)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		resp, err := c.RoundTrip(ctx, get())
		var body []byte
		if err == nil {
			body, err = readers[how%4](resp.Body.(*Body))
			resp.Body.Close()
		}
		if ctx.Err() != nil {
			t.Fatal("it hangs")
		}
		judge(t, c, wire, body, err, how%4 == 3)
		c.Close()
		<-ended
	})
}

func respond(server net.Conn, wire []byte, pieces int) {
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

func judge(t *testing.T, c *Conn, wire, body []byte, err error, early bool) {
	t.Helper()
	size, stdout, ok := wellFormed(wire)
	if c.Reusable() && (!ok || c.Broken()) {
		t.Errorf("reusable after %q (broken: %v)", wire, c.Broken())
	}
	if ok && size == len(wire) && !early && (!c.Reusable() || c.Broken()) {
		t.Errorf("reusable %v, broken %v after a whole response", c.Reusable(), c.Broken())
	}
	if !ok && err == nil && !early {
		t.Errorf("no error after %q", wire)
	}
	if len(body) > len(stdout) && ok {
		t.Errorf("a body of %d bytes of %d", len(body), len(stdout))
	}
}
