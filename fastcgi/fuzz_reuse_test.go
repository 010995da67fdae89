package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// FuzzReuse responds to a first request with arbitrary bytes and, if the connection
// is still reusable, to a second request properly. The second request must get
// its own response, without a byte of the first.
func FuzzReuse(f *testing.F) {
	whole := fastcgitest.Encode(fastcgitest.OK("first"), 1)
	f.Add(whole, uint8(0))
	f.Add(whole[:len(whole)-1], uint8(1))
	f.Add(append(bytes.Clone(whole), fastcgitest.Encode(fastcgitest.OK("forged"), 2)...), uint8(0))
	f.Add(append(bytes.Clone(whole), fastcgitest.Encode(fastcgitest.OK("late"), 1)...), uint8(2))
	f.Add(fastcgitest.Encode(fastcgitest.Reply("Content-Length: 3\r\n\r\nfirst"), 1), uint8(0))
	f.Add(fastcgitest.Encode(fastcgitest.Reply("Content-Length: 9\r\n\r\nfirst"), 1), uint8(3))
	f.Add(fastcgitest.Encode(fastcgitest.Reply("Status: 204\r\n\r\nfirst"), 1), uint8(0))
	// A header that never ends, and no response.
	f.Add(fastcgitest.Encode(fastcgitest.Reply("A: b\r\n"), 1), uint8(0))
	f.Add([]byte{}, uint8(0))
	l := listenAsPHP(f)
	f.Cleanup(func() { l.Close() })
	f.Fuzz(func(t *testing.T, wire []byte, how uint8) {
		if len(wire) > 16<<10 {
			return // it must fit into the socket buffer, because it may not be read
		}
		client, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		responded, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			serveTwo(server, wire, responded)
		}()
		c := NewConn(client)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if resp, err := c.RoundTrip(ctx, get()); err == nil {
			bodyReaders[how%4](resp.Body.(*Body))
			resp.Body.Close()
		}
		<-responded
		if c.Reusable() && c.Check() == nil {
			checkSecond(ctx, t, c, wire)
		}
		if ctx.Err() != nil {
			t.Error("timeout")
		}
		c.Close()
		<-done
	})
}

// serveTwo responds to the first request with wire and to the second properly. It
// closes responded after the first response.
func serveTwo(server net.Conn, wire []byte, responded chan<- struct{}) {
	_, err := fastcgitest.ReadRequest(server)
	if err == nil {
		_, err = server.Write(wire)
	}
	close(responded)
	if _, _, ok := parseResponse(wire); !ok || err != nil {
		return // close the connection, because the client may wait for the rest
	}
	if r, err := fastcgitest.ReadRequest(server); err == nil {
		server.Write(fastcgitest.Encode(fastcgitest.OK("second"), r.ID))
	}
}

// checkSecond sends the second request of FuzzReuse.
func checkSecond(ctx context.Context, t *testing.T, c *Conn, wire []byte) {
	t.Helper()
	r := get()
	r.ReadTimeout = 10 * time.Second
	resp, err := c.RoundTrip(ctx, r)
	if err != nil {
		t.Errorf("after %q: second request on a reusable connection: %v", wire, err)
		return
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "second" {
		t.Errorf("after %q: second request got %q, %v", wire, body, err)
	}
	resp.Body.Close()
}

// FuzzValues responds to GET_VALUES, as used by Handshake and Ping, with arbitrary
// bytes.
func FuzzValues(f *testing.F) {
	f.Add(fastcgitest.Encode(fastcgitest.Response{fastcgitest.Values("FCGI_MPXS_CONNS", "0")}, 0), uint8(255))
	f.Add(fastcgitest.Encode(fastcgitest.OK("x"), 0), uint8(9))
	f.Add([]byte("\x01\x0a\x00\x00\xff\xff\xff\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, wire []byte, pieces uint8) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			sendWire(server, wire, int(pieces))
		}()
		c := NewConn(client)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := c.Ping(ctx)
		if ctx.Err() != nil {
			t.Fatal("timeout")
		}
		size, wrong := decodeValues(wire)
		_, protocol := errors.AsType[*ProtocolError](err)
		switch {
		case err == nil && size == 0:
			t.Errorf("no error after %q", wire)
		case err == nil != c.Reusable():
			t.Errorf("got error %v, reusable %v", err, c.Reusable())
		case protocol != c.Broken():
			t.Errorf("got error %v, broken %v", err, c.Broken())
		case wrong != nil && !protocol && len(wire) >= headerLen:
			t.Errorf("got %v after %q, want %v", err, wire, wrong)
		case size > 0 && size == len(wire) && size <= 1<<10 && err != nil:
			t.Errorf("got %v after %q", err, wire)
		}
		c.Close()
		<-done
	})
}
