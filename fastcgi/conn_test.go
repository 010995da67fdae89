package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
)

// TestMain fails if a writer goroutine is still running after the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); code == 0 && strings.Contains(stacks, "fastcgi.(*writer)") {
		fmt.Fprintf(os.Stderr, "leaked writer goroutine:\n%s", stacks)
		code = 1
	}
	os.Exit(code)
}

// testContext returns a context with a timeout, so that a test that hangs fails
// with an error instead of a panic.
func testContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// respondWith returns a handler that responds to every request with a.
func respondWith(a fastcgitest.Response) func(*fastcgitest.Request) fastcgitest.Response {
	return func(*fastcgitest.Request) fastcgitest.Response { return a }
}

// transport is a test that runs over one kind of connection.
type transport struct {
	*testing.T
	pair func(testing.TB) (client, server net.Conn)
}

// connect returns a Conn that is served by s.
func (t *transport) connect(s *fastcgitest.Responder) *Conn {
	t.Helper()
	client, server := t.pair(t)
	return serve(t, s, client, server)
}

// overSocketAndPipe runs a test over a unix socket and over a net.Pipe.
func overSocketAndPipe(t *testing.T, test func(*transport)) {
	t.Helper()
	for name, pair := range map[string]func(testing.TB) (client, server net.Conn){
		"socket": socketPair,
		"pipe":   func(testing.TB) (client, server net.Conn) { return net.Pipe() },
	} {
		t.Run(name, func(t *testing.T) { test(&transport{T: t, pair: pair}) })
	}
}

// serve serves one end of a connection with s and returns a Conn over the other.
func serve(tb testing.TB, s *fastcgitest.Responder, client, server net.Conn) *Conn {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(server)
	}()
	c := NewConn(client)
	tb.Cleanup(func() {
		c.Close()
		<-done
	})
	return c
}

// get returns a small request.
func get() *Request {
	r := NewRequest()
	r.AddParam("REQUEST_METHOD", "GET")
	return r
}

// do sends a request and reads the whole response.
func do(tb testing.TB, c *Conn, r *Request) (*http.Response, string, error) {
	tb.Helper()
	resp, err := c.RoundTrip(testContext(tb), r)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		tb.Errorf("Close: %v", err)
	}
	return resp, string(body), err
}

func TestConn_SequentialRequests(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		next := uint16(0)
		c := t.connect(&fastcgitest.Responder{Handler: func(r *fastcgitest.Request) fastcgitest.Response {
			if next++; !r.KeepConn || r.Role != 1 || r.ID != next {
				t.Errorf("got request %d, role %d, keep-alive %v, want %d, 1, true", r.ID, r.Role, r.KeepConn, next)
			}
			return fastcgitest.OK(r.Params["N"] + string(r.Body))
		}})
		for i := range 5 {
			r := NewRequest()
			r.AddParam("N", fmt.Sprint(i))
			r.Body, r.ContentLength = strings.NewReader(" body"), 5
			resp, body, err := do(t, c, r)
			r.Free()
			if want := fmt.Sprint(i, " body"); err != nil || body != want || resp.StatusCode != 200 {
				t.Fatalf("got %q, error %v, want %q", body, err, want)
			}
			if !c.Reusable() || c.Broken() {
				t.Fatalf("got reusable %v, broken %v, want true, false", c.Reusable(), c.Broken())
			}
			if err := c.Check(); err != nil {
				t.Fatalf("Check: %v", err)
			}
		}
	})
}

func TestConn_ResponseByteByByte(t *testing.T) {
	overSocketAndPipe(t, func(t *transport) {
		var stderr bytes.Buffer
		c := t.connect(&fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
			fastcgitest.InPieces(1),
			fastcgitest.Stderr("first"), fastcgitest.Stdout("Status: 201 Created\r\nA: b"), fastcgitest.Stderr(", second"),
			fastcgitest.Stdout("\r\n"), fastcgitest.Stdout("\r\nhel"), fastcgitest.Stderr(", third"), fastcgitest.Stdout("lo"),
			fastcgitest.End(),
		})})
		r := get()
		r.Stderr = &stderr
		resp, body, err := do(t, c, r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 201 || resp.Header.Get("A") != "b" || body != "hello" || resp.ContentLength != -1 {
			t.Errorf("got %d, %v, %q, length %d", resp.StatusCode, resp.Header, body, resp.ContentLength)
		}
		if got, want := stderr.String(), "first, second, third"; got != want {
			t.Errorf("got stderr %q, want %q", got, want)
		}
		if !c.Reusable() {
			t.Error("the connection is not reusable")
		}
	})
}

// TestConn_TruncatedResponse closes the connection after every possible number
// of bytes of a response.
func TestConn_TruncatedResponse(t *testing.T) {
	whole := fastcgitest.Encode(fastcgitest.Response{
		fastcgitest.Stderr("warning"),
		fastcgitest.Stdout("Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n"),
		fastcgitest.Stdout("hello"),
		fastcgitest.End(),
	}, requestID)
	overSocketAndPipe(t, func(t *transport) {
		for n := range whole {
			c := t.connect(&fastcgitest.Responder{Handler: respondWith(fastcgitest.Response{
				fastcgitest.Raw(whole[:n]), fastcgitest.Close(),
			})})
			_, body, err := do(t, c, get())
			e, ok := errors.AsType[*TransportError](err)
			if !ok || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("truncated at %d: got body %q, error %v, want an unexpected EOF", n, body, err)
			}
			if responseStarted := n > 16+8; e.Sent == 0 || e.ResponseStarted != responseStarted || ResponseStarted(err) != responseStarted {
				t.Errorf("truncated at %d: got %d bytes sent, response started %v, want some, %v", n, e.Sent, e.ResponseStarted, responseStarted)
			}
			if c.Reusable() || c.Broken() {
				t.Errorf("truncated at %d: got reusable %v, broken %v, want false, false", n, c.Reusable(), c.Broken())
			}
		}
	})
}

func TestConn_BrokenByInvalidRecord(t *testing.T) {
	head := fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nhello")
	for name, bad := range map[string]fastcgitest.Step{
		"wrong id":          fastcgitest.Record(fastcgitest.TypeStdout, 2, "x", 0),
		"unknown type":      fastcgitest.Record(42, 1, "x", 0),
		"wrong version":     fastcgitest.Raw([]byte("\x02\x06\x00\x01\x00\x00\x00\x00")),
		"HTTP":              fastcgitest.Raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")),
		"long END":          fastcgitest.Record(fastcgitest.TypeEndRequest, 1, "123456789", 0),
		"unexpected values": fastcgitest.Values("FCGI_MPXS_CONNS", "0"),
		"missing padding":   fastcgitest.Raw([]byte("\x01\x06\x00\x01\x00\x01\x07\x00x" + "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")),
	} {
		overSocketAndPipe(t, func(t *transport) {
			for where, a := range map[string]fastcgitest.Response{
				"before the head": {bad, head, fastcgitest.End()},
				"in the body":     {head, fastcgitest.Flush(), bad, fastcgitest.End()},
			} {
				c := t.connect(&fastcgitest.Responder{Handler: respondWith(a)})
				_, _, err := do(t, c, get())
				if _, ok := errors.AsType[*ProtocolError](err); !ok {
					t.Errorf("%s %s: got error %v, want a ProtocolError", name, where, err)
				}
				if c.Reusable() || !c.Broken() {
					t.Errorf("%s %s: got reusable %v, broken %v, want false, true", name, where, c.Reusable(), c.Broken())
				}
			}
		})
	}
}

func TestConn_BrokenByTrailingData(t *testing.T) {
	c := connectSocket(t, respondWith(append(fastcgitest.OK("hello"), fastcgitest.Raw([]byte("x")))))
	_, body, err := do(t, c, get())
	if err != nil || body != "hello" {
		t.Errorf("got %q, error %v, want hello", body, err)
	}
	if c.Reusable() || !c.Broken() {
		t.Errorf("got reusable %v, broken %v, want false, true", c.Reusable(), c.Broken())
	}
}

// connectSocket returns a Conn over a unix socket that is served by handler.
func connectSocket(tb testing.TB, handler func(*fastcgitest.Request) fastcgitest.Response) *Conn {
	tb.Helper()
	client, server := socketPair(tb)
	return serve(tb, &fastcgitest.Responder{Handler: handler}, client, server)
}

func TestConnCheck_IdleConn(t *testing.T) {
	client, server := socketPair(t)
	c := NewConn(client)
	if err := c.Check(); err != nil {
		t.Errorf("idle connection: %v", err)
	}
	server.Write([]byte("x"))
	err := c.Check()
	if _, ok := errors.AsType[*ProtocolError](err); !ok || !c.Broken() || c.Reusable() {
		t.Errorf("unexpected byte: got %v, broken %v, reusable %v, want a ProtocolError, true, false", err, c.Broken(), c.Reusable())
	}

	client, server = socketPair(t)
	c = NewConn(client)
	server.Close()
	if err := c.Check(); !errors.Is(err, io.EOF) {
		t.Errorf("closed connection: got %v, want EOF", err)
	}
	if c.Broken() || c.Reusable() {
		t.Errorf("closed connection: got broken %v, reusable %v, want false, false", c.Broken(), c.Reusable())
	}

	client, _ = socketPair(t)
	c = NewConn(client)
	died := errors.New("died")
	c.Interrupt(died)
	if err := c.Check(); !errors.Is(err, died) || c.Reusable() {
		t.Errorf("interrupted connection: got %v, reusable %v, want %v, false", err, c.Reusable(), died)
	}
}

func TestErrNotSent_ClosedByPeer(t *testing.T) {
	client, server := socketPair(t)
	c := NewConn(client)
	server.Close()
	_, err := c.RoundTrip(testContext(t), get())
	// Over TCP the request leaves before the peer's kernel refuses it.
	notSent := errors.Is(err, ErrNotSent) || client.RemoteAddr().Network() == "tcp"
	if !notSent || !errors.Is(err, io.ErrUnexpectedEOF) || ResponseStarted(err) {
		t.Errorf("got %v, want ErrNotSent, an unexpected EOF and no response", err)
	}
	if c.Reusable() || c.Broken() {
		t.Errorf("got reusable %v, broken %v, want false, false", c.Reusable(), c.Broken())
	}
}

func TestErrNotSent_UnusableConn(t *testing.T) {
	died := errors.New("died")
	for name, tt := range map[string]struct {
		prepare func(*Conn)
		want    error
	}{
		"closed":      {func(c *Conn) { c.Close() }, ErrClosed},
		"interrupted": {func(c *Conn) { c.Interrupt(died) }, died},
		"busy":        {func(c *Conn) { c.state.Store(uint32(busy)) }, errBusy},
	} {
		client, _ := socketPair(t)
		c := NewConn(client)
		tt.prepare(c)
		_, err := c.RoundTrip(testContext(t), get())
		if !errors.Is(err, ErrNotSent) || !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want ErrNotSent and %v", name, err, tt.want)
		}
		if err := c.Ping(testContext(t)); !errors.Is(err, ErrNotSent) || !errors.Is(err, tt.want) {
			t.Errorf("%s: Ping: got %v, want ErrNotSent and %v", name, err, tt.want)
		}
	}
}

func TestConn_ReusableAfterInvalidRequest(t *testing.T) {
	broken := errors.New("disk on fire")
	c := connectSocket(t, respondWith(fastcgitest.OK("hello")))
	for name, tt := range map[string]struct {
		prepare func(*Request)
		want    func(error) bool
	}{
		"parameter": {
			func(r *Request) { r.AddParam("A", "\x00") },
			func(err error) bool { _, ok := errors.AsType[*ParamError](err); return ok },
		},
		"no body": {
			func(r *Request) { r.ContentLength = 1 },
			func(err error) bool { _, ok := errors.AsType[*BodyError](err); return ok },
		},
		"unknown length": {
			func(r *Request) { r.Body, r.ContentLength = strings.NewReader("x"), -1 },
			func(err error) bool { _, ok := errors.AsType[*BodyError](err); return ok },
		},
		"short body": {
			func(r *Request) { r.Body, r.ContentLength = strings.NewReader("x"), 2 },
			func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
		},
		"unreadable body": {
			func(r *Request) { r.Body, r.ContentLength = errReader{broken}, 2 },
			func(err error) bool { return errors.Is(err, broken) },
		},
	} {
		r := get()
		tt.prepare(r)
		if _, err := c.RoundTrip(testContext(t), r); !tt.want(err) || errors.Is(err, ErrNotSent) {
			t.Errorf("%s: got error %v", name, err)
		}
		if !c.Reusable() {
			t.Errorf("%s: the connection is not reusable", name)
		}
		if _, body, err := do(t, c, get()); body != "hello" || err != nil {
			t.Errorf("%s: next request: got %q, error %v", name, body, err)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestRequestRewind(t *testing.T) {
	echo := func(r *fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK(string(r.Body)) }
	for _, size := range []int{0, 10, 300 << 10} {
		want := strings.Repeat("x", size)
		r := get()
		r.Body, r.ContentLength = strings.NewReader(want), int64(size)
		for range 3 {
			if err := r.Rewind(); err != nil {
				t.Fatal(err)
			}
			if _, body, err := do(t, connectSocket(t, echo), r); body != want || err != nil {
				t.Errorf("got %d bytes, error %v, want %d", len(body), err, size)
			}
		}
		r.Body = io.MultiReader(strings.NewReader(want)) // not an io.Seeker
		if err := r.Rewind(); (err != nil) != (size > 0) {
			t.Errorf("rewinding a body of %d bytes that is not an io.Seeker: got %v", size, err)
		}
		r.Free()
	}
}

func TestErrNotSent_ContextDone(t *testing.T) {
	cause := errors.New("client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	c := connectSocket(t, respondWith(fastcgitest.OK("hello")))
	_, err := c.RoundTrip(ctx, get())
	if !errors.Is(err, cause) || !errors.Is(err, ErrNotSent) {
		t.Errorf("got %v, want ErrNotSent and %v", err, cause)
	}
	if _, body, err := do(t, c, get()); body != "hello" || err != nil {
		t.Errorf("next request: got %q, error %v", body, err)
	}
}
