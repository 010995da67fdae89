package fastcgi

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestProbesLeaveTheConnectionReadyForARequest(t *testing.T) {
	overBoth(t, func(t *transport) {
		asked := 0
		c := t.connect(&fastcgitest.Responder{
			Handler: func(r *fastcgitest.Request) fastcgitest.Answer {
				if r.Params["SCRIPT_FILENAME"] != "" {
					return fastcgitest.Reply("Status: 404 Not Found\r\n\r\nNo input file specified.\n")
				}
				return fastcgitest.OK("hello")
			},
			Values: func() fastcgitest.Answer {
				asked++
				return fastcgitest.Answer{fastcgitest.InPieces(asked), fastcgitest.Values("FCGI_MPXS_CONNS", "0")}
			},
		})
		ctx := testContext(t)
		for name, probe := range map[string]func() error{
			"Handshake":    func() error { return c.Handshake(ctx) },
			"Probe":        func() error { return c.Ping(ctx) },
			"ProbeRequest": func() error { return c.PingRequest(ctx) },
		} {
			if err := probe(); err != nil || !c.Reusable() {
				t.Errorf("%s: error %v, reusable %v", name, err, c.Reusable())
			}
			if _, body, err := do(t, c, get()); body != "hello" || err != nil {
				t.Errorf("after %s: got %q, error %v", name, body, err)
			}
		}
		if asked != 3 {
			t.Errorf("GET_VALUES was asked %d times, want 3", asked)
		}
	})
}

func TestAHandshakeRecognizesAnOldPHP(t *testing.T) {
	overBoth(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{ClosesAfterValues: true})
		if err := c.Handshake(testContext(t)); !errors.Is(err, ErrClosedAfterGetValues) {
			t.Errorf("got %v, want %v", err, ErrClosedAfterGetValues)
		}
		if c.Reusable() || c.Broken() {
			t.Errorf("reusable %v, broken %v, want false, false", c.Reusable(), c.Broken())
		}
	})
}

func TestAProbeTellsThatThePeerIsGone(t *testing.T) {
	overBoth(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{Values: func() fastcgitest.Answer { return fastcgitest.Answer{fastcgitest.Close()} }})
		if err := c.Handshake(testContext(t)); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrClosedAfterGetValues) {
			t.Errorf("got %v, want an unexpected EOF", err)
		}
		if c.Reusable() {
			t.Error("reusable")
		}
	})
}

func TestAnswersThatAreNoValuesBreakTheConnection(t *testing.T) {
	for name, step := range map[string]fastcgitest.Step{
		"another type":   fastcgitest.Record(fastcgitest.TypeUnknownType, 0, "12345678", 0),
		"another id":     fastcgitest.Record(fastcgitest.TypeGetValuesResult, 1, "", 0),
		"HTTP":           fastcgitest.Raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")),
		"not pairs":      fastcgitest.Record(fastcgitest.TypeGetValuesResult, 0, "\x05\x05abc", 0),
		"two answers":    fastcgitest.Raw([]byte(strings.Repeat("\x01\x0a\x00\x00\x00\x00\x00\x00", 2))),
		"a huge answer":  fastcgitest.Record(fastcgitest.TypeGetValuesResult, 0, strings.Repeat("\x00\x00", 9999), 0),
		"an open answer": fastcgitest.Raw([]byte("\x01\x0a\x00\x00\xff\xff\x00\x00" + strings.Repeat("x", 9999))),
	} {
		overBoth(t, func(t *transport) {
			c := t.connect(&fastcgitest.Responder{Values: func() fastcgitest.Answer { return fastcgitest.Answer{step} }})
			err := c.Ping(testContext(t))
			if _, ok := errors.AsType[*ProtocolError](err); !ok || c.Reusable() || !c.Broken() {
				t.Errorf("%s: error %v, reusable %v, broken %v", name, err, c.Reusable(), c.Broken())
			}
		})
	}
}
