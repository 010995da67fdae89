package fastcgi

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestPing_KeepsConnReusable(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		pings := 0
		c := t.connect(&fastcgitest.Responder{
			Handler: func(r *fastcgitest.Request) fastcgitest.Response {
				if r.Params["SCRIPT_FILENAME"] != "" {
					return fastcgitest.Reply("Status: 404 Not Found\r\n\r\nNo input file specified.\n")
				}
				return fastcgitest.OK("hello")
			},
			Values: func() fastcgitest.Response {
				pings++
				return fastcgitest.Response{fastcgitest.InPieces(pings), fastcgitest.Values("FCGI_MPXS_CONNS", "0")}
			},
		})
		ctx := testContext(t)
		for name, ping := range map[string]func() error{
			"Handshake":   func() error { return c.Handshake(ctx) },
			"Ping":        func() error { return c.Ping(ctx) },
			"PingRequest": func() error { return c.PingRequest(ctx) },
		} {
			if err := ping(); err != nil || !c.Reusable() {
				t.Errorf("%s: got error %v, reusable %v", name, err, c.Reusable())
			}
			if _, body, err := do(t, c, get()); body != "hello" || err != nil {
				t.Errorf("after %s: got %q, error %v", name, body, err)
			}
		}
		if pings != 3 {
			t.Errorf("got %d GET_VALUES, want 3", pings)
		}
	})
}

func TestHandshake_ClosedAfterGetValues(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{CloseAfterGetValues: true})
		if err := c.Handshake(testContext(t)); !errors.Is(err, ErrClosedAfterGetValues) {
			t.Errorf("got %v, want %v", err, ErrClosedAfterGetValues)
		}
		if c.Reusable() || c.Broken() {
			t.Errorf("got reusable %v, broken %v, want false, false", c.Reusable(), c.Broken())
		}
	})
}

func TestHandshake_ClosedByPeer(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{Values: func() fastcgitest.Response { return fastcgitest.Response{fastcgitest.Close()} }})
		if err := c.Handshake(testContext(t)); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrClosedAfterGetValues) {
			t.Errorf("got %v, want an unexpected EOF", err)
		}
		if c.Reusable() {
			t.Error("the connection is reusable")
		}
	})
}

func TestPing_InvalidResultBreaksConn(t *testing.T) {
	for name, step := range map[string]fastcgitest.Step{
		"other type":        fastcgitest.Record(fastcgitest.TypeUnknownType, 0, "12345678", 0),
		"other id":          fastcgitest.Record(fastcgitest.TypeGetValuesResult, 1, "", 0),
		"HTTP":              fastcgitest.Raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")),
		"malformed pairs":   fastcgitest.Record(fastcgitest.TypeGetValuesResult, 0, "\x05\x05abc", 0),
		"two records":       fastcgitest.Raw([]byte(strings.Repeat("\x01\x0a\x00\x00\x00\x00\x00\x00", 2))),
		"huge record":       fastcgitest.Record(fastcgitest.TypeGetValuesResult, 0, strings.Repeat("\x00\x00", 9999), 0),
		"incomplete record": fastcgitest.Raw([]byte("\x01\x0a\x00\x00\xff\xff\x00\x00" + strings.Repeat("x", 9999))),
	} {
		overSocketAndPipe(t, func(t *transport) {
			c := t.connect(&fastcgitest.Responder{Values: func() fastcgitest.Response { return fastcgitest.Response{step} }})
			err := c.Ping(testContext(t))
			if _, ok := errors.AsType[*ProtocolError](err); !ok || c.Reusable() || !c.Broken() {
				t.Errorf("%s: got error %v, reusable %v, broken %v, want a ProtocolError, false, true", name, err, c.Reusable(), c.Broken())
			}
		})
	}
}
