package fastcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

func TestResponseHead_InvalidKeepsConnReusable(t *testing.T) {
	for name, tt := range map[string]struct {
		response fastcgitest.Response
		want     string
	}{
		"status 99":      {fastcgitest.Reply("Status: 99 X\r\n\r\nhello"), `"99 X"`},
		"status abc":     {fastcgitest.Reply("Status: abc\r\n\r\n"), `"abc"`},
		"nothing":        {fastcgitest.Response{fastcgitest.End()}, "no response"},
		"stderr only":    {fastcgitest.Response{fastcgitest.Stderr("oh"), fastcgitest.End()}, "no response"},
		"head no end":    {fastcgitest.Reply("Content-Type: text/html\r\n"), "ended within"},
		"overloaded":     {fastcgitest.Response{fastcgitest.EndStatus(0, 2)}, "OVERLOADED"},
		"unknown role":   {fastcgitest.Response{fastcgitest.EndStatus(0, 3)}, "UNKNOWN_ROLE"},
		"cannot mpx":     {fastcgitest.Response{fastcgitest.EndStatus(0, 1)}, "CANT_MPX_CONN"},
		"another status": {fastcgitest.Response{fastcgitest.EndStatus(0, 9)}, "unknown"},
	} {
		overSocketAndPipe(t, func(t *transport) {
			c := t.connect(&fastcgitest.Responder{Handler: respondWith(tt.response)})
			_, _, err := do(t, c, get())
			if e, ok := errors.AsType[*ProtocolError](err); !ok || !strings.Contains(e.Error(), tt.want) {
				t.Errorf("%s: got error %v, want a ProtocolError with %s", name, err, tt.want)
			}
			if !c.Reusable() || c.Broken() {
				t.Errorf("%s: got reusable %v, broken %v, want true, false", name, c.Reusable(), c.Broken())
			}
		})
	}
}

func TestResponseHead_SizeLimit(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		long := strings.Repeat("x", 900<<10)
		c := t.connect(&fastcgitest.Responder{Handler: respondWith(fastcgitest.Reply("A: " + long + "\r\nB: c\r\n\r\nhello"))})
		resp, body, err := do(t, c, get())
		if err != nil || resp.Header.Get("A") != long || resp.Header.Get("B") != "c" || body != "hello" {
			t.Errorf("header of 900 KB: got body %q, error %v", body, err)
		}

		long = strings.Repeat("x", maxHead+64<<10)
		c = t.connect(&fastcgitest.Responder{Handler: respondWith(fastcgitest.Reply("A: " + long + "\r\n\r\n"))})
		_, _, err = do(t, c, get())
		if _, ok := errors.AsType[*ProtocolError](err); !ok {
			t.Errorf("header of more than 1 MB: got error %v, want a ProtocolError", err)
		}
	})
}

func TestBody_ContentLength(t *testing.T) {
	for _, tt := range []struct {
		name   string
		head   bool
		output string
		body   string
		length int64 // ContentLength of the response
		filled int64 // the same after Fill
		err    error
	}{
		{"no length", false, "A: b\r\n\r\nhello", "hello", -1, 5, nil},
		{"right length", false, "Content-Length: 5\r\n\r\nhello", "hello", 5, 5, nil},
		{"more than announced", false, "Content-Length: 3\r\n\r\nhello", "hel", 3, 3, nil},
		{"less than announced", false, "Content-Length: 9\r\n\r\nhello", "hello", 9, 9, io.ErrUnexpectedEOF},
		{"announced but empty", false, "Content-Length: 9\r\n\r\n", "", 9, 9, io.ErrUnexpectedEOF},
		{"invalid length", false, "Content-Length: five\r\n\r\nhello", "hello", -1, 5, nil},
		{"204", false, "Status: 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "", 0, 0, nil},
		{"304", false, "Status: 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "", 0, 0, nil},
		{"HEAD", true, "A: b\r\n\r\nhello", "", -1, -1, nil},
		{"HEAD with a length", true, "Content-Length: 5\r\n\r\n", "", 5, 5, nil},
		{"empty", false, "A: b\r\n\r\n", "", -1, 0, nil},
		{"no header", false, "\r\nhello", "hello", -1, 5, nil},
	} {
		for _, fill := range []bool{false, true} {
			for _, pieces := range []int{0, 1} {
				t.Run(fmt.Sprintf("%s/filled=%v/pieces=%d", tt.name, fill, pieces), func(t *testing.T) {
					written := make(chan struct{})
					a := fastcgitest.Response{fastcgitest.InPieces(pieces), fastcgitest.Stdout(tt.output), fastcgitest.End(), fastcgitest.Flush()}
					c := connectSocket(t, respondWith(append(a, func(*fastcgitest.Wire) error { close(written); return nil })))
					r := get()
					r.Head = tt.head
					resp, err := c.RoundTrip(testContext(t), r)
					if err != nil {
						t.Fatal(err)
					}
					if resp.ContentLength != tt.length {
						t.Errorf("got length %d, want %d", resp.ContentLength, tt.length)
					}
					announced := resp.Header.Get("Content-Length")
					if fill {
						<-written
						if !resp.Body.(*Body).Fill(MaxFill) {
							t.Fatal("after Fill the response is not complete")
						}
						if !c.Reusable() {
							t.Error("after Fill the connection is not reusable")
						}
						if resp.ContentLength != tt.filled {
							t.Errorf("after Fill: got length %d, want %d", resp.ContentLength, tt.filled)
						}
						if n := resp.Header.Get("Content-Length"); n != announced {
							t.Errorf("after Fill: got Content-Length %q, PHP has sent %q", n, announced)
						}
						if truncated := resp.Body.(*Body).Truncated(); truncated != (tt.err != nil) {
							t.Errorf("after Fill: got truncated %v", truncated)
						}
					}
					body, err := io.ReadAll(resp.Body)
					if string(body) != tt.body || !errors.Is(err, tt.err) {
						t.Errorf("got %q, error %v, want %q, %v", body, err, tt.body, tt.err)
					}
					surplus := int64(0)
					if tt.name == "more than announced" {
						surplus = 2
					}
					if got := resp.Body.(*Body).Surplus(); got != surplus {
						t.Errorf("got surplus %d, want %d", got, surplus)
					}
					resp.Body.Close()
					if !c.Reusable() || c.Broken() {
						t.Errorf("got reusable %v, broken %v, want true, false", c.Reusable(), c.Broken())
					}
				})
			}
		}
	}
}

func TestBodyFill_DoesNotBlock(t *testing.T) {
	more := make(chan struct{})
	c := connectSocket(t, respondWith(fastcgitest.Response{
		fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Wait(more), fastcgitest.Stdout(", world"), fastcgitest.End(),
	}))
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	body := resp.Body.(*Body)
	if body.Fill(MaxFill) {
		t.Error("Fill reports a complete response")
	}
	if !body.Ready() {
		t.Error("the body is not ready although bytes are buffered")
	}
	if p, err := body.Next(); string(p) != "hello" || err != nil {
		t.Errorf("got %q, error %v, want hello", p, err)
	}
	if body.Ready() {
		t.Error("the body is ready although PHP has written nothing more")
	}
	close(more)
	if p, err := io.ReadAll(body); string(p) != ", world" || err != nil {
		t.Errorf("got %q, error %v", p, err)
	}
	if !body.Ready() {
		t.Error("the body is not ready at its end")
	}
	// The length includes what was read before.
	if !body.Fill(MaxFill) || resp.ContentLength != int64(len("hello, world")) {
		t.Errorf("after Fill: got length %d, want %d", resp.ContentLength, len("hello, world"))
	}
	if body.Close() != nil || !c.Reusable() {
		t.Error("the connection is not reusable")
	}
}

func TestBodyFill_Limit(t *testing.T) {
	content := strings.Repeat("0123456789", 30<<10)
	for _, size := range []int{0, 1, 1000, 64 << 10, MaxFill - 1, MaxFill, MaxFill + 1, len(content)} {
		for _, limit := range []int{0, 1000, MaxFill, 10 * MaxFill} {
			written := make(chan struct{})
			c := connectSocket(t, respondWith(append(fastcgitest.OK(content[:size]), fastcgitest.Flush(),
				func(*fastcgitest.Wire) error { close(written); return nil })))
			resp, err := c.RoundTrip(testContext(t), get())
			if err != nil {
				t.Fatal(err)
			}
			body := resp.Body.(*Body)
			if size <= MaxFill {
				<-written // more may not fit into the socket buffer
			}
			complete := body.Fill(limit)
			if size <= min(limit, MaxFill) && !complete {
				t.Errorf("%d bytes, limit %d: not complete", size, limit)
			}
			if size > 2*MaxFill && complete {
				t.Errorf("%d bytes, limit %d: complete", size, limit)
			}
			if complete != c.Reusable() {
				t.Errorf("%d bytes, limit %d: complete %v, reusable %v", size, limit, complete, c.Reusable())
			}
			var got bytes.Buffer
			if n, err := body.WriteTo(&got); err != nil || n != int64(size) || got.String() != content[:size] {
				t.Errorf("%d bytes, limit %d: got %d bytes, error %v", size, limit, n, err)
			}
			body.Close()
			if !c.Reusable() {
				t.Errorf("%d bytes, limit %d: not reusable", size, limit)
			}
		}
	}
}

func TestConn_ReusableAfterEarlyClose(t *testing.T) {
	written := make(chan struct{})
	c := connectSocket(t, respondWith(append(fastcgitest.OK(strings.Repeat("x", 100<<10)), fastcgitest.Flush(),
		func(*fastcgitest.Wire) error { close(written); return nil })))
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	<-written
	resp.Body.Close()
	if !c.Reusable() {
		t.Error("not reusable although the rest had arrived")
	}
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("reading a closed body: got %v, want %v", err, http.ErrBodyReadAfterClose)
	}
	if resp.Body.(*Body).Fill(MaxFill) {
		t.Error("Fill reports that a closed body is complete")
	}

	overSocketAndPipe(t, func(t *transport) {
		c := t.connect(&fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
			fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Stall(),
		})})
		resp, err := c.RoundTrip(testContext(t), get())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(resp.Body.Close(), resp.Body.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if c.Reusable() || c.Broken() {
			t.Errorf("got reusable %v, broken %v, want false, false", c.Reusable(), c.Broken())
		}
		if _, err := c.RoundTrip(testContext(t), get()); !errors.Is(err, ErrNotSent) {
			t.Errorf("another request: got %v, want ErrNotSent", err)
		}
	})
}

func TestBody_InvalidHeadersDropped(t *testing.T) {
	c := connectSocket(t, respondWith(fastcgitest.Reply("A b: c\r\nD: e\r\nF\r\n\r\nhello")))
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := resp.Body.(*Body).InvalidHeaders(); n != 2 || len(resp.Header) != 1 {
		t.Errorf("got %d invalid lines, header %v, want 2, D", n, resp.Header)
	}
}

func TestBodyNext_JoinsSmallRecords(t *testing.T) {
	written := make(chan struct{})
	a := fastcgitest.Response{fastcgitest.Stdout("A: b\r\n\r\n")}
	var want strings.Builder
	for i := range 20 {
		s := strings.Repeat(fmt.Sprint(i%10), 4096)
		a = append(a, fastcgitest.Stdout(s), fastcgitest.Stderr("noise"))
		want.WriteString(s)
	}
	a = append(a, fastcgitest.End(), fastcgitest.Flush(), func(*fastcgitest.Wire) error { close(written); return nil })
	c := connectSocket(t, respondWith(a))
	resp, err := c.RoundTrip(testContext(t), get())
	if err != nil {
		t.Fatal(err)
	}
	<-written
	body := resp.Body.(*Body)
	if !body.Fill(MaxFill) {
		t.Fatal("after Fill the response is not complete")
	}
	if p, err := body.Next(); string(p) != want.String() || err != nil {
		t.Errorf("got %d bytes, error %v, want %d", len(p), err, want.Len())
	}
	if p, err := body.Next(); len(p) > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("got %d bytes, error %v, want EOF", len(p), err)
	}
	body.Close()
}
