package fastcgi

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestRequestBody_Sizes(t *testing.T) {
	data := make([]byte, 1<<20)
	rand.Read(data)
	overSocketAndPipe(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.OK(string(r.Body))
		}})
		for _, size := range []int{0, 1, 65_000, 65_498, 65_499, 65_500, 65_501, 65_527, 65_528, 65_529, 65_535, 65_536, 2 * 65_528, 2*65_528 + 1, len(data)} {
			r := get()
			r.Body, r.ContentLength = bytes.NewReader(data), int64(size) // data is longer
			_, body, err := do(t, c, r)
			r.Free()
			if err != nil || body != string(data[:size]) {
				t.Fatalf("body of %d bytes: got %d back, error %v", size, len(body), err)
			}
			if !c.Reusable() {
				t.Fatalf("body of %d bytes: not reusable", size)
			}
		}
	})
}

func TestRequestBody_ShortBreaksConn(t *testing.T) {
	broken := errors.New("disk on fire")
	const size = 300 << 10
	half := strings.Repeat("x", size/2)
	for name, tt := range map[string]struct {
		body io.Reader
		want error
	}{
		"short":      {strings.NewReader(half), io.ErrUnexpectedEOF},
		"empty":      {strings.NewReader(""), io.ErrUnexpectedEOF},
		"unreadable": {io.MultiReader(strings.NewReader(half), iotest.ErrReader(broken)), broken},
	} {
		overSocketAndPipe(t, func(t *transport) {
			c := t.connect(&fastcgitest.Responder{Handler: respondWith(fastcgitest.OK("must not be reached"))})
			r := get()
			r.Body, r.ContentLength = tt.body, size
			_, err := c.RoundTrip(testContext(t), r)
			if _, ok := errors.AsType[*BodyError](err); !ok || !errors.Is(err, tt.want) || errors.Is(err, ErrNotSent) {
				t.Errorf("%s: got %v, want a BodyError with %v", name, err, tt.want)
			}
			if c.Reusable() || !c.Broken() {
				t.Errorf("%s: got reusable %v, broken %v, want false, true", name, c.Reusable(), c.Broken())
			}
		})
	}
}

func TestRequestBody_ResponseBeforeItsEnd(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{Early: true, Handler: respondWith(fastcgitest.OK("hello"))})
		r := get()
		r.Body, r.ContentLength = strings.NewReader(strings.Repeat("x", 10<<20)), 10<<20
		_, body, err := do(t, c, r)
		if err != nil || body != "hello" {
			t.Fatalf("got %q, error %v, want hello", body, err)
		}
		// php-cgi itself reads all of the body before it ends the request.
		if c.Reusable() || c.Broken() {
			t.Fatalf("got reusable %v, broken %v, want false, false", c.Reusable(), c.Broken())
		}
	})
}

func TestRequestBody_GraceAfterEndRequest(t *testing.T) {
	s := &fastcgitest.Responder{Early: true, Handler: respondWith(fastcgitest.Response{
		fastcgitest.Sleep(time.Second), fastcgitest.Stdout("\r\nhello"), fastcgitest.End(), fastcgitest.Sleep(time.Minute),
	})}
	inBubble(t, s, func(t *bubble) {
		c := t.conn
		start := time.Now()
		r := get()
		r.Body, r.ContentLength = strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20
		_, body, err := do(t, c, r)
		if err != nil || body != "hello" {
			t.Errorf("got %q, error %v, want hello", body, err)
		}
		if c.Reusable() || c.Broken() {
			t.Errorf("got reusable %v, broken %v, want false, false", c.Reusable(), c.Broken())
		}
		wantAfter(t, start, time.Second+writerGrace)
	})
}

func TestRequestBody_ClosedByPeer(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		for name, tt := range map[string]struct {
			response fastcgitest.Response
			started  bool
		}{
			"no response":      {fastcgitest.Response{fastcgitest.Close()}, false},
			"partial response": {fastcgitest.Response{fastcgitest.Stdout("Status: 500 No\r\n\r\nlast words"), fastcgitest.Close()}, true},
		} {
			c := t.connect(&fastcgitest.Responder{Early: true, Handler: respondWith(tt.response)})
			r := get()
			r.Body, r.ContentLength = strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20
			_, _, err := do(t, c, r)
			if e, ok := errors.AsType[*TransportError](err); !ok || e.ResponseStarted && !tt.started || e.Sent == 0 {
				t.Errorf("%s: got %v", name, err)
			}
			if c.Reusable() {
				t.Errorf("%s: the connection is reusable", name)
			}
		}
	})
}

func TestInterrupt_DeliversWhatArrived(t *testing.T) {
	died := errors.New("worker died")
	written := make(chan struct{})
	const size = 150 << 10
	content := strings.Repeat("x", size)
	c := connectSocket(t, respondWith(fastcgitest.Response{
		fastcgitest.Stdout("A: b\r\n\r\n" + content), fastcgitest.Flush(),
		func(*fastcgitest.Wire) error { close(written); return nil },
		fastcgitest.Stall(), // like a background program that keeps the connection open
	}))
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	<-written
	c.Interrupt(died)
	body, err := io.ReadAll(resp.Body)
	if string(body) != content {
		t.Errorf("got %d bytes, want %d", len(body), size)
	}
	if e, ok := errors.AsType[*TransportError](err); !ok || !errors.Is(err, died) || !e.ResponseStarted {
		t.Errorf("got %v, want %v", err, died)
	}
	resp.Body.Close()
	if c.Reusable() {
		t.Error("the connection is reusable")
	}
}

func TestInterrupt_CompleteResponse(t *testing.T) {
	died := errors.New("worker died")
	written := make(chan struct{})
	c := connectSocket(t, respondWith(append(fastcgitest.OK(strings.Repeat("x", 150<<10)), fastcgitest.Flush(),
		func(*fastcgitest.Wire) error { close(written); return nil })))
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	<-written
	c.Interrupt(died)
	body, err := io.ReadAll(resp.Body)
	if len(body) != 150<<10 || err != nil {
		t.Errorf("got %d bytes, error %v", len(body), err)
	}
	if c.Reusable() {
		t.Error("the connection is reusable")
	}
}
