package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// slowClient blocks in Write until resume is closed.
type slowClient struct {
	*httptest.ResponseRecorder
	resume chan struct{}
	err    error // returned by Write after that
}

func (c *slowClient) Write(p []byte) (int, error) {
	<-c.resume
	if c.err != nil {
		return 0, c.err
	}
	return c.ResponseRecorder.Write(p)
}

// longResponse returns a response that needs several reads, and its body.
func longResponse() ([]byte, fastcgitest.Response) {
	const size = 3 << 20
	content := make([]byte, 0, size)
	resp := fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\n")}
	for i := 0; len(content) < size; i++ {
		part := bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i * 7)}, 10000)
		content = append(content, part...)
		resp = append(resp, fastcgitest.Stdout(string(part)))
	}
	return content, append(resp, fastcgitest.End())
}

// slowSite returns a site with one worker and response_buffers, and the body of its
// long responses.
func slowSite(t *testing.T, buffers int64) (*Handler, []byte) {
	t.Helper()
	content, resp := longResponse()
	h := fakeSite(t, testfiles.Write(t, "index.php"), 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
		return slices.Clone(resp)
	}))
	h.ResponseBuffers = buffers
	return h, content
}

// begin sends a request; the channel receives the error of ServeHTTP.
func (c *slowClient) begin(h *Handler) <-chan error {
	r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
	done := make(chan error, 1)
	go func() { done <- h.ServeHTTP(c, r, nil) }()
	return done
}

// waitIdle waits until the only worker is idle after a request, and reports whether
// it was within limit.
func waitIdle(h *Handler, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if h.pool.Pool.Stats().Workers.Idle == 1 && h.pool.Pool.Stats().Requests.Total > 0 {
			return true
		}
	}
	return false
}

func TestReadAhead_FreesWorkerOfSlowClient(t *testing.T) {
	h, content := slowSite(t, 4<<20)
	c := &slowClient{ResponseRecorder: httptest.NewRecorder(), resume: make(chan struct{})}
	done := c.begin(h)
	if !waitIdle(h, 10*time.Second) {
		t.Errorf("got %+v, want an idle worker", h.pool.Pool.Stats().Workers)
	}
	close(c.resume)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(c.Body.Bytes(), content) {
		t.Errorf("got %d bytes, which differ from the %d that PHP sent", c.Body.Len(), len(content))
	}
}

func TestReadAhead_Limit(t *testing.T) {
	const limit = 500 << 10
	h, content := slowSite(t, limit)
	for _, closes := range []bool{false, true} {
		c := &slowClient{ResponseRecorder: httptest.NewRecorder(), resume: make(chan struct{})}
		if closes {
			c.err = errors.New("reset")
		}
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
		resp, err := h.roundTrip(r, requestStateFrom(r), httptest.NewRecorder())
		if err != nil {
			t.Fatal(err)
		}
		full := func() bool {
			resp.buffer.mu.Lock()
			defer resp.buffer.mu.Unlock()
			if got := cap(resp.buffer.pending); got > 2*(limit+fastcgi.MaxFill) {
				t.Errorf("buffer of %d bytes, want at most %d", got, 2*(limit+fastcgi.MaxFill))
			}
			return len(resp.buffer.pending)+fastcgi.MaxFill >= limit
		}
		for deadline := time.Now().Add(10 * time.Second); !full(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the read-ahead buffer is not filled")
			}
		}
		if s := h.pool.Pool.Stats().Workers; s.Busy != 1 {
			t.Errorf("got %+v, want a busy worker: the buffer is full", s)
		}
		close(c.resume)
		err = resp.copyTo(c)
		resp.close()
		switch {
		case closes && !errors.Is(err, errClientClosed):
			t.Errorf("got %v, want %v", err, errClientClosed)
		case !closes && (err != nil || !bytes.Equal(c.Body.Bytes(), content)):
			t.Errorf("got %d bytes and %v, want %d", c.Body.Len(), err, len(content))
		}
	}
}

// TestReadAhead_Transport reads a body from the transport with buffers of several
// sizes.
func TestReadAhead_Transport(t *testing.T) {
	h, content := slowSite(t, 1<<20)
	for _, size := range []int{1000, 32 << 10, 1 << 20} {
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
		res, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{res.Body}, make([]byte, size)); err != nil {
			t.Error(err)
		}
		res.Body.Close()
		if !bytes.Equal(got.Bytes(), content) {
			t.Errorf("buffer of %d bytes: got %d bytes, which differ from the %d that PHP sent", size, got.Len(), len(content))
		}
	}
}

// TestReadAhead_DoesNotDelayStreams checks that the client gets the first part of a
// stream before PHP sends the second, however large the buffer is.
func TestReadAhead_DoesNotDelayStreams(t *testing.T) {
	next := make(chan struct{})
	big := bytes.Repeat([]byte("x"), 2*fastcgi.MaxFill)
	h := fakeSite(t, testfiles.Write(t, "index.php"), 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.Response{
			fastcgitest.Stdout("Content-Type: text/event-stream\r\n\r\n"), fastcgitest.Stdout("data: first\n\n"), fastcgitest.Flush(),
			fastcgitest.Wait(next), fastcgitest.Stdout(string(big[:50000])), fastcgitest.Stdout(string(big[50000:100000])), fastcgitest.End(),
		}
	}))
	h.ResponseBuffers = 1 << 20
	r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
	resp, err := h.roundTrip(r, requestStateFrom(r), httptest.NewRecorder())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.close()
	if p, err := resp.source().Next(); err != nil || string(p) != "data: first\n\n" {
		t.Errorf("got %q and %v, want the first event", p, err)
	}
	if resp.source().Ready() {
		t.Error("ready before PHP has sent the second event")
	}
	close(next)
	for n := 0; n < 100000; {
		p, err := resp.source().Next()
		if err != nil {
			t.Fatal(err)
		}
		n += len(p)
	}
}
