package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// FuzzReuse answers a first request with any bytes and, where the connection
// still passes for reusable, a second one properly: whoever sent the second gets
// that answer and not a byte of the first, or an error.
func FuzzReuse(f *testing.F) {
	whole := fastcgitest.Encode(fastcgitest.OK("first"), 1)
	f.Add(whole, uint8(0))
	f.Add(whole[:len(whole)-1], uint8(1))
	f.Add(append(bytes.Clone(whole), fastcgitest.Encode(fastcgitest.OK("forged"), 2)...), uint8(0))
	f.Add(append(bytes.Clone(whole), fastcgitest.Encode(fastcgitest.OK("late"), 1)...), uint8(2))
	f.Add(fastcgitest.Encode(fastcgitest.Reply("Content-Length: 3\r\n\r\nfirst"), 1), uint8(0))
	f.Add(fastcgitest.Encode(fastcgitest.Reply("Content-Length: 9\r\n\r\nfirst"), 1), uint8(3))
	f.Add(fastcgitest.Encode(fastcgitest.Reply("Status: 204\r\n\r\nfirst"), 1), uint8(0))
	// Of a script that forked, and a head that never ends.
	f.Add(fastcgitest.Encode(fastcgitest.Reply("A: b\r\n"), 1), uint8(0))
	f.Add([]byte{}, uint8(0))
	l, err := net.Listen("unix", filepath.Join(f.TempDir(), "socket"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, wire []byte, how uint8) {
		if len(wire) > 16<<10 {
			return // it has to fit into the socket: nobody may read it
		}
		client, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		answered, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			defer server.Close()
			twice(server, wire, answered)
		}()
		c := NewConn(client)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if resp, err := c.RoundTrip(ctx, get()); err == nil {
			readers[how%4](resp.Body.(*Body))
			resp.Body.Close()
		}
		<-answered
		if c.Reusable() && c.Check() == nil {
			second(ctx, t, c, wire)
		}
		if ctx.Err() != nil {
			t.Error("it hangs")
		}
		c.Close()
		<-ended
	})
}

// twice answers one request with wire and the next with an answer to it.
func twice(server net.Conn, wire []byte, answered chan<- struct{}) {
	_, err := fastcgitest.ReadRequest(server)
	if err == nil {
		_, err = server.Write(wire)
	}
	close(answered)
	if _, _, ok := wellFormed(wire); !ok || err != nil {
		return // who waits for the rest of it would wait for long
	}
	if r, err := fastcgitest.ReadRequest(server); err == nil {
		server.Write(fastcgitest.Encode(fastcgitest.OK("second"), r.ID))
	}
}

func second(ctx context.Context, t *testing.T, c *Conn, wire []byte) {
	t.Helper()
	r := get()
	r.ReadTimeout = 10 * time.Second
	resp, err := c.RoundTrip(ctx, r)
	if err != nil {
		t.Errorf("after %q the connection was reusable: %v", wire, err)
		return
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "second" {
		t.Errorf("after %q the second request got %q, %v", wire, body, err)
	}
	resp.Body.Close()
}

// FuzzValues lets a peer answer GET_VALUES with any bytes: the handshake of a
// new connection and the health probe read them.
func FuzzValues(f *testing.F) {
	f.Add(fastcgitest.Encode(fastcgitest.Answer{fastcgitest.Values("FCGI_MPXS_CONNS", "0")}, 0), uint8(255))
	f.Add(fastcgitest.Encode(fastcgitest.OK("x"), 0), uint8(9))
	f.Add([]byte("\x01\x0a\x00\x00\xff\xff\xff\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, wire []byte, pieces uint8) {
		client, server := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			respond(server, wire, int(pieces))
		}()
		c := NewConn(client)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := c.Ping(ctx)
		if ctx.Err() != nil {
			t.Fatal("it hangs")
		}
		size, wrong := decodeValues(wire)
		_, protocol := errors.AsType[*ProtocolError](err)
		switch {
		case err == nil && size == 0:
			t.Errorf("alive after %q", wire)
		case err == nil != c.Reusable():
			t.Errorf("error %v, and reusable is %v", err, c.Reusable())
		case protocol != c.Broken():
			t.Errorf("error %v, and broken is %v", err, c.Broken())
		case wrong != nil && !protocol && len(wire) >= headerLen:
			t.Errorf("got %v after %q, want %v", err, wire, wrong)
		case size > 0 && size == len(wire) && size <= 1<<10 && err != nil:
			t.Errorf("got %v after %q", err, wire)
		}
		c.Close()
		<-ended
	})
}
