package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// bubble is a test with a fake clock and a Conn over a net.Pipe.
type bubble struct {
	*testing.T
	conn *Conn
}

// inBubble runs a test with a fake clock.
func inBubble(t *testing.T, s *fastcgitest.Responder, test func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		test(&bubble{T: t, conn: serve(t, s, client, server)})
	})
}

// wantAfter checks the time that has passed since start on the fake clock.
func wantAfter(tb testing.TB, start time.Time, want time.Duration) {
	tb.Helper()
	if got := time.Since(start); got != want {
		tb.Errorf("got duration %v, want %v", got, want)
	}
}

// wantTimeout checks that err is want and a timeout.
func wantTimeout(tb testing.TB, err, want error) {
	tb.Helper()
	var ne net.Error
	if !errors.Is(err, want) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		tb.Errorf("got %v, want %v, which is a timeout", err, want)
	}
}

func TestReadTimeout(t *testing.T) {
	head, body := fastcgitest.Stdout("A: b\r\n\r\n"), fastcgitest.Stdout("hello")
	second := fastcgitest.Sleep(time.Second)
	for name, tt := range map[string]struct {
		response fastcgitest.Response
		after    time.Duration // when it fails; 0 if it does not
	}{
		"no timeout":      {fastcgitest.Response{second, head, second, body, second, fastcgitest.End()}, 0},
		"before the head": {fastcgitest.Response{fastcgitest.Stall()}, 2 * time.Second},
		"after stderr":    {fastcgitest.Response{second, fastcgitest.Stderr("x"), fastcgitest.Stall()}, 3 * time.Second},
		"before the body": {fastcgitest.Response{second, head, fastcgitest.Stall()}, 3 * time.Second},
		"before the end":  {fastcgitest.Response{second, head, second, body, fastcgitest.Stall()}, 4 * time.Second},
	} {
		inBubble(t, &fastcgitest.Responder{Handler: respondWith(tt.response)}, func(t *bubble) {
			c := t.conn
			start := time.Now()
			r := get()
			r.ReadTimeout = 2 * time.Second
			_, _, err := do(t, c, r)
			if tt.after == 0 {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				// The timeout must not apply after the request.
				time.Sleep(time.Hour)
				if _, _, err := do(t, c, get()); err != nil {
					t.Errorf("%s: next request: %v", name, err)
				}
				return
			}
			wantTimeout(t, err, ErrReadTimeout)
			wantAfter(t, start, tt.after)
			if c.Reusable() || c.Broken() {
				t.Errorf("%s: got reusable %v, broken %v, want false, false", name, c.Reusable(), c.Broken())
			}
		})
	}
}

func TestWriteTimeout_NotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		c := NewConn(client)
		start := time.Now()
		r := get()
		r.WriteTimeout = time.Second
		_, err := c.RoundTrip(t.Context(), r)
		wantTimeout(t, err, ErrWriteTimeout)
		wantAfter(t, start, time.Second)
		if !errors.Is(err, ErrNotSent) {
			t.Errorf("got %v, want ErrNotSent", err)
		}
	})
}

func TestWriteTimeout_UnreadRequestBodyBreaksConn(t *testing.T) {
	for name, limit := range map[string]func(*Request){
		"write timeout": func(r *Request) { r.WriteTimeout = time.Second },
		"read timeout":  func(r *Request) { r.ReadTimeout = time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			s := &fastcgitest.Responder{Early: true, Handler: respondWith(fastcgitest.Response{
				fastcgitest.Sleep(time.Minute), // without reading
				fastcgitest.Close(),
			})}
			inBubble(t, s, func(t *bubble) {
				c := t.conn
				r := get()
				r.Body, r.ContentLength = strings.NewReader(strings.Repeat("x", 1<<20)), 1<<20
				limit(r)
				_, err := c.RoundTrip(t.Context(), r)
				var ne net.Error
				if !errors.As(err, &ne) || !ne.Timeout() || errors.Is(err, ErrNotSent) {
					t.Errorf("got %v, want a timeout of a request that was sent", err)
				}
				if c.Reusable() || !c.Broken() {
					t.Errorf("got reusable %v, broken %v, want false, true", c.Reusable(), c.Broken())
				}
			})
		})
	}
}

// slowReader reads one kilobyte per second.
type slowReader struct{ remaining int }

func (s *slowReader) Read(p []byte) (int, error) {
	if s.remaining == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := min(len(p), s.remaining, 1<<10)
	s.remaining -= n
	clear(p[:n])
	return n, nil
}

func TestReadTimeout_ExtendedBySlowRequestBody(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.OK("hello"))}, func(t *bubble) {
		c := t.conn
		r := get()
		r.ReadTimeout = 10 * time.Second
		r.Body, r.ContentLength = &slowReader{remaining: 200 << 10}, 200<<10
		resp, err := c.RoundTrip(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("got %q, error %v, want hello", body, err)
		}
		if !c.Reusable() {
			t.Error("the connection is not reusable")
		}
	})
}

func TestContext_CancelEndsRequest(t *testing.T) {
	left := errors.New("client left")
	for name, a := range map[string]fastcgitest.Response{
		"before the head": {fastcgitest.Stall()},
		"in the body":     {fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Stall()},
	} {
		inBubble(t, &fastcgitest.Responder{Handler: respondWith(a)}, func(t *bubble) {
			c := t.conn
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(left) })
			start := time.Now()
			resp, err := c.RoundTrip(ctx, get())
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, left) || errors.Is(err, ErrNotSent) || c.Reusable() || c.Broken() {
				t.Errorf("%s: got %v, reusable %v, broken %v", name, err, c.Reusable(), c.Broken())
			}
			wantAfter(t, start, time.Second)
		})
	}
}

func TestContext_CancelWhileSendingBreaksConn(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.OK("hello"))}, func(t *bubble) {
		c := t.conn
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		r := get()
		r.Body, r.ContentLength = &slowReader{remaining: 200 << 10}, 200<<10
		start := time.Now()
		_, err := c.RoundTrip(ctx, r)
		if !errors.Is(err, context.DeadlineExceeded) || c.Reusable() || !c.Broken() {
			t.Errorf("got %v, reusable %v, broken %v, want the deadline, false, true", err, c.Reusable(), c.Broken())
		}
		wantAfter(t, start, 6*time.Second) // RoundTrip waits for a Read in progress
	})
}

func TestContext_DeadlineIsTimeout(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{fastcgitest.Stall()})}, func(t *bubble) {
		c := t.conn
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.RoundTrip(ctx, get())
		if e, ok := errors.AsType[*TransportError](err); !ok || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline as a timeout", err)
		}
	})
}

func TestContext_LateCancel(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.OK("hello"))}, func(t *bubble) {
		c := t.conn
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := c.RoundTrip(ctx, get())
			if err != nil {
				t.Fatal(err)
			}
			go cancel() // while the body is read, or after
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if err != nil {
				return // the cancellation was not late
			}
			if string(body) != "hello" || !c.Reusable() {
				t.Fatalf("got %q, reusable %v", body, c.Reusable())
			}
		}
	})
}

func TestInterrupt_EndsRequest(t *testing.T) {
	died := errors.New("worker died")
	inBubble(t, &fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{fastcgitest.Stall()})}, func(t *bubble) {
		c := t.conn
		time.AfterFunc(time.Second, func() { c.Interrupt(died); c.Interrupt(nil) })
		start := time.Now()
		_, err := c.RoundTrip(t.Context(), get())
		if e, ok := errors.AsType[*TransportError](err); !ok || !errors.Is(err, died) || e.ResponseStarted || e.Sent == 0 {
			t.Errorf("got %#v, want %v", err, died)
		}
		wantAfter(t, start, time.Second)
	})
}

func TestPing_Context(t *testing.T) {
	for name, ping := range map[string]func(*Conn, context.Context) error{
		"Ping": (*Conn).Ping, "Handshake": (*Conn).Handshake, "PingRequest": (*Conn).PingRequest,
	} {
		stall := fastcgitest.Response{fastcgitest.Stall()}
		s := &fastcgitest.Responder{Handler: respondWith(stall), Values: func() fastcgitest.Response { return stall }}
		inBubble(t, s, func(t *bubble) {
			c := t.conn
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := ping(c, ctx); !errors.Is(err, context.DeadlineExceeded) || c.Reusable() {
				t.Errorf("%s: got %v, reusable %v, want the deadline, false", name, err, c.Reusable())
			}
			wantAfter(t, start, time.Second)
		})
	}
}
