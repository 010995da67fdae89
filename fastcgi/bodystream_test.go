package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// streamed returns a request whose body of size bytes arrives through a pipe.
func streamed(size int64) (*Request, *io.PipeWriter) {
	in, out := io.Pipe()
	r := get()
	r.Body, r.ContentLength, r.StreamBody = in, size, true
	return r, out
}

// recordBody is a responder that passes on each body that it gets, and then waits
// for the end of the connection, or responds.
func recordBody(bodies chan<- string, response fastcgitest.Response) *fastcgitest.Responder {
	return &fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Response {
		bodies <- string(r.Body)
		return response
	}}
}

// inBubbleWithBodies runs a test with a fake clock and the bodies that PHP gets.
func inBubbleWithBodies(t *testing.T, test func(t *bubble, bodies <-chan string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		bodies := make(chan string, 1)
		c := serve(t, recordBody(bodies, fastcgitest.OK("not delivered")), client, server)
		test(&bubble{T: t, conn: c}, bodies)
	})
}

func TestBodyStream_Complete(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		bodies := make(chan string, 1)
		c := t.connect(recordBody(bodies, fastcgitest.OK("hello")))
		for _, size := range []int{1, 1000, maxStdinContent, 200_000} {
			want := strings.Repeat("0123456789", size/10+1)[:size]
			r, out := streamed(int64(size))
			go io.WriteString(out, want)
			_, body, err := do(t, c, r)
			if got := <-bodies; got != want || body != "hello" || err != nil {
				t.Errorf("%d bytes: got %d, response %q, %v", size, len(got), body, err)
			}
			if !c.Reusable() {
				t.Fatalf("%d bytes: the connection is not reusable", size)
			}
		}
	})
}

// A body that ends early is ended for PHP too, and PHP is not killed.
func TestBodyStream_EndsEarly(t *testing.T) {
	broken := errors.New("connection reset")
	overSocketAndPipe(t, func(t *transport) {
		for name, want := range map[string]error{"error": broken, "short": io.ErrUnexpectedEOF} {
			bodies := make(chan string, 1)
			c := t.connect(recordBody(bodies, fastcgitest.OK("not delivered")))
			r, out := streamed(1 << 20)
			go func() {
				io.WriteString(out, "what has arrived")
				if name == "error" {
					out.CloseWithError(broken)
				} else {
					out.Close()
				}
			}()
			_, _, err := do(t, c, r)
			if _, ok := errors.AsType[*BodyError](err); !ok || !errors.Is(err, want) {
				t.Errorf("%s: got %v, want a BodyError with %v", name, err, want)
			}
			if got := <-bodies; got != "what has arrived" {
				t.Errorf("%s: PHP got %q", name, got)
			}
			if c.Reusable() || c.Broken() {
				t.Errorf("%s: got reusable %v, broken %v, want false, false", name, c.Reusable(), c.Broken())
			}
		}
	})
}

// The timeout counts from the last byte, and PHP gets what has arrived.
func TestBodyStream_Timeout(t *testing.T) {
	inBubbleWithBodies(t, func(t *bubble, bodies <-chan string) {
		r, out := streamed(1000)
		r.BodyTimeout, r.ReadTimeout = 10*time.Second, 5*time.Second
		start := time.Now()
		go func() {
			for range 3 {
				time.Sleep(9 * time.Second)
				io.WriteString(out, "part ")
			}
		}()
		_, err := t.conn.RoundTrip(t.Context(), r)
		wantTimeout(t, err, ErrBodyTimeout)
		wantAfter(t, start, 3*9*time.Second+10*time.Second)
		if got := <-bodies; got != strings.Repeat("part ", 3) {
			t.Errorf("PHP got %q", got)
		}
		if t.conn.Reusable() || t.conn.Broken() {
			t.Errorf("got reusable %v, broken %v, want false, false", t.conn.Reusable(), t.conn.Broken())
		}
		out.Close() // the Read may return at any time
	})
}

// A canceled request does not wait for the body.
func TestBodyStream_ContextCanceled(t *testing.T) {
	inBubbleWithBodies(t, func(t *bubble, bodies <-chan string) {
		r, out := streamed(1000)
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		go func() {
			io.WriteString(out, "part")
			time.Sleep(time.Second)
			cancel()
		}()
		_, err := t.conn.RoundTrip(ctx, r)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		wantAfter(t, start, time.Second+writerGrace)
		if got := <-bodies; got != "part" {
			t.Errorf("PHP got %q", got)
		}
		if t.conn.Broken() {
			t.Error("the connection is broken")
		}
		out.Close()
	})
}

// PHP may respond, and end, before the body has arrived.
func TestBodyStream_EarlyResponse(t *testing.T) {
	s := &fastcgitest.Responder{Early: true, Handler: respondWith(fastcgitest.OK("early"))}
	inBubble(t, s, func(t *bubble) {
		r, out := streamed(1000)
		start := time.Now()
		_, body, err := do(t, t.conn, r)
		if body != "early" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		wantAfter(t, start, 0)
		if t.conn.Reusable() || t.conn.Broken() {
			t.Errorf("got reusable %v, broken %v, want false, false", t.conn.Reusable(), t.conn.Broken())
		}
		out.Close()
	})
}

// AwaitRequestBody returns when the rest of the body has been sent.
func TestBodyStream_AwaitRequestBody(t *testing.T) {
	s := &fastcgitest.Responder{Early: true, Handler: respondWith(fastcgitest.Response{fastcgitest.Stdout("\r\nearly"), fastcgitest.Flush()})}
	inBubble(t, s, func(t *bubble) {
		r, out := streamed(4)
		resp, err := t.conn.RoundTrip(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Hour)
			io.WriteString(out, "body")
		}()
		start := time.Now()
		resp.Body.(*Body).AwaitRequestBody(t.Context())
		wantAfter(t, start, time.Hour)
		resp.Body.Close()
	})
}

// The death of the process ends the request while the body still arrives.
func TestBodyStream_Interrupt(t *testing.T) {
	died := errors.New("worker died")
	inBubbleWithBodies(t, func(t *bubble, _ <-chan string) {
		r, out := streamed(1000)
		r.BodyTimeout = time.Minute
		start := time.Now()
		go func() {
			io.WriteString(out, "part")
			t.conn.Interrupt(died)
		}()
		if _, err := t.conn.RoundTrip(t.Context(), r); !errors.Is(err, died) {
			t.Errorf("got %v, want %v", err, died)
		}
		wantAfter(t, start, 0)
		out.Close()
	})
}

// It is not sent again after a byte has been read.
func TestBodyStream_NotRepeatable(t *testing.T) {
	r, out := streamed(1000)
	if err := r.Rewind(); err != nil {
		t.Errorf("before it was sent: %v", err)
	}
	client, server := socketPair(t)
	server.Close()
	if _, err := NewConn(client).RoundTrip(testContext(t), r); err == nil {
		t.Error("got a response")
	}
	out.Close()
	if r.consumed && r.Rewind() == nil {
		t.Error("Rewind: got no error")
	}
}

// The context of an HTTP/3 request has an error of QUIC as its cause.
func TestContextError_OtherCause(t *testing.T) {
	reset := errors.New("stream reset by peer")
	inBubble(t, &fastcgitest.Responder{Early: true, Handler: respondWith(fastcgitest.Response{
		fastcgitest.Sleep(time.Minute), fastcgitest.Close(), // without reading
	})}, func(t *bubble) {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := get()
		r.Body, r.ContentLength = strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20
		time.AfterFunc(time.Second, func() { cancel(reset) })
		_, err := t.conn.RoundTrip(ctx, r)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, reset) {
			t.Errorf("got %v, want both the error and the cause of the context", err)
		}
		if !t.conn.Aborted() {
			t.Error("got aborted false, want true: PHP has done nothing wrong")
		}
	})
}
