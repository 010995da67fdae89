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

// bubble is a test on a fake clock, with a Conn over a pipe.
type bubble struct {
	*testing.T
	conn *Conn
}

// inBubble runs a test on a fake clock.
func inBubble(t *testing.T, s *fastcgitest.Responder, test func(*bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		test(&bubble{T: t, conn: serve(t, s, client, server)})
	})
}

// wantAfter checks the time that has passed on the fake clock.
func wantAfter(tb testing.TB, start time.Time, want time.Duration) {
	tb.Helper()
	if got := time.Since(start); got != want {
		tb.Errorf("it took %v, want %v", got, want)
	}
}

func wantTimeout(tb testing.TB, err, want error) {
	tb.Helper()
	var ne net.Error
	if !errors.Is(err, want) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		tb.Errorf("got %v, want %v, which is a timeout", err, want)
	}
}

func TestPHPMayBeSilentForTheReadTimeoutAndNoLonger(t *testing.T) {
	head, body := fastcgitest.Stdout("A: b\r\n\r\n"), fastcgitest.Stdout("hello")
	second := fastcgitest.Sleep(time.Second)
	for name, tt := range map[string]struct {
		answer fastcgitest.Answer
		after  time.Duration // when it fails; 0 if it does not
	}{
		"never silent for long": {fastcgitest.Answer{second, head, second, body, second, fastcgitest.End()}, 0},
		"before the head":       {fastcgitest.Answer{fastcgitest.Stall()}, 2 * time.Second},
		"after stderr":          {fastcgitest.Answer{second, fastcgitest.Stderr("x"), fastcgitest.Stall()}, 3 * time.Second},
		"before the body":       {fastcgitest.Answer{second, head, fastcgitest.Stall()}, 3 * time.Second},
		"before the end":        {fastcgitest.Answer{second, head, second, body, fastcgitest.Stall()}, 4 * time.Second},
	} {
		inBubble(t, &fastcgitest.Responder{Handler: answering(tt.answer)}, func(t *bubble) {
			c := t.conn
			start := time.Now()
			r := get()
			r.ReadTimeout = 2 * time.Second
			_, _, err := do(t, c, r)
			if tt.after == 0 {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				// The timeout must not outlive the request.
				time.Sleep(time.Hour)
				if _, _, err := do(t, c, get()); err != nil {
					t.Errorf("%s: the next request: %v", name, err)
				}
				return
			}
			wantTimeout(t, err, ErrReadTimeout)
			wantAfter(t, start, tt.after)
			if c.Reusable() || c.Broken() {
				t.Errorf("%s: reusable %v, broken %v, want false, false", name, c.Reusable(), c.Broken())
			}
		})
	}
}

func TestARequestThatNobodyReadsTimesOutUnsent(t *testing.T) {
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

func TestABodyThatNobodyReadsTimesOutAndBreaksTheConnection(t *testing.T) {
	for name, limit := range map[string]func(*Request){
		"write timeout": func(r *Request) { r.WriteTimeout = time.Second },
		"read timeout":  func(r *Request) { r.ReadTimeout = time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			s := &fastcgitest.Responder{Early: true, Handler: answering(fastcgitest.Answer{
				fastcgitest.Sleep(time.Minute), // and reads nothing
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
					t.Errorf("reusable %v, broken %v, want false, true", c.Reusable(), c.Broken())
				}
			})
		})
	}
}

// slowReader gives a kilobyte per second.
type slowReader struct{ left int }

func (s *slowReader) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Second)
	n := min(len(p), s.left, 1<<10)
	s.left -= n
	clear(p[:n])
	return n, nil
}

func TestPHPIsNotSilentWhileItWaitsForTheBody(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: answering(fastcgitest.OK("hello"))}, func(t *bubble) {
		c := t.conn
		r := get()
		r.ReadTimeout = 10 * time.Second
		r.Body, r.ContentLength = &slowReader{left: 200 << 10}, 200<<10
		resp, err := c.RoundTrip(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("got %q, error %v, want hello", body, err)
		}
		if !c.Reusable() {
			t.Error("not reusable")
		}
	})
}

func TestACancelledContextEndsARequestAtOnce(t *testing.T) {
	left := errors.New("client left")
	for name, a := range map[string]fastcgitest.Answer{
		"before the head": {fastcgitest.Stall()},
		"in the body":     {fastcgitest.Stdout("A: b\r\n\r\nhello"), fastcgitest.Stall()},
	} {
		inBubble(t, &fastcgitest.Responder{Handler: answering(a)}, func(t *bubble) {
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

func TestARequestThatIsCancelledWhileItIsSentBreaksTheConnection(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: answering(fastcgitest.OK("hello"))}, func(t *bubble) {
		c := t.conn
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		r := get()
		r.Body, r.ContentLength = &slowReader{left: 200 << 10}, 200<<10
		start := time.Now()
		_, err := c.RoundTrip(ctx, r)
		if !errors.Is(err, context.DeadlineExceeded) || c.Reusable() || !c.Broken() {
			t.Errorf("got %v, reusable %v, broken %v, want the deadline, false, true", err, c.Reusable(), c.Broken())
		}
		wantAfter(t, start, 6*time.Second) // a read of the body that has begun is waited for
	})
}

func TestTheDeadlineOfAContextIsATimeout(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: answering(fastcgitest.Answer{fastcgitest.Stall()})}, func(t *bubble) {
		c := t.conn
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.RoundTrip(ctx, get())
		if e, ok := errors.AsType[*TransportError](err); !ok || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
}

func TestACancellationThatIsTooLateHarmsNobody(t *testing.T) {
	inBubble(t, &fastcgitest.Responder{Handler: answering(fastcgitest.OK("hello"))}, func(t *bubble) {
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
				return // it was in time
			}
			if string(body) != "hello" || !c.Reusable() {
				t.Fatalf("got %q, reusable %v", body, c.Reusable())
			}
		}
	})
}

func TestAnInterruptEndsARequestAtOnce(t *testing.T) {
	died := errors.New("worker died")
	inBubble(t, &fastcgitest.Responder{Handler: answering(fastcgitest.Answer{fastcgitest.Stall()})}, func(t *bubble) {
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

func TestAProbeEndsWithItsContext(t *testing.T) {
	for name, probe := range map[string]func(*Conn, context.Context) error{
		"Probe": (*Conn).Ping, "Handshake": (*Conn).Handshake, "ProbeRequest": (*Conn).PingRequest,
	} {
		stall := fastcgitest.Answer{fastcgitest.Stall()}
		s := &fastcgitest.Responder{Handler: answering(stall), Values: func() fastcgitest.Answer { return stall }}
		inBubble(t, s, func(t *bubble) {
			c := t.conn
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := probe(c, ctx); !errors.Is(err, context.DeadlineExceeded) || c.Reusable() {
				t.Errorf("%s: got %v, reusable %v, want the deadline, false", name, err, c.Reusable())
			}
			wantAfter(t, start, time.Second)
		})
	}
}
