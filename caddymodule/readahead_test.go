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

// slowClient takes nothing until it is told to.
type slowClient struct {
	*httptest.ResponseRecorder
	takes chan struct{}
	err   error // what it says then
}

func (c *slowClient) Write(p []byte) (int, error) {
	<-c.takes
	if c.err != nil {
		return 0, c.err
	}
	return c.ResponseRecorder.Write(p)
}

// long is an answer that no one read takes in.
func long() ([]byte, fastcgitest.Response) {
	const size = 3 << 20
	content := make([]byte, 0, size)
	answer := fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\n")}
	for i := 0; len(content) < size; i++ {
		part := bytes.Repeat([]byte{byte(i), byte(i >> 8), byte(i * 7)}, 10000)
		content = append(content, part...)
		answer = append(answer, fastcgitest.Stdout(string(part)))
	}
	return content, append(answer, fastcgitest.End())
}

// slowSite is a site with one worker, whose answers are long.
func slowSite(t *testing.T, buffers int64) (*Handler, []byte) {
	t.Helper()
	content, answer := long()
	h := fakeSite(t, testfiles.Write(t, "index.php"), 1, livetest.Answers(func(*fastcgitest.Request) fastcgitest.Response {
		return slices.Clone(answer)
	}))
	h.ResponseBuffers = buffers
	return h, content
}

// begin sends a request of a slow client, and returns where its end is told.
func (c *slowClient) begin(h *Handler) <-chan error {
	r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
	ended := make(chan error, 1)
	go func() { ended <- h.ServeHTTP(c, r, nil) }()
	return ended
}

// idles waits until the only worker is idle.
func idles(h *Handler, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if h.pool.Pool.Stats().Workers.Idle == 1 && h.pool.Pool.Stats().Requests.Total > 0 {
			return true
		}
	}
	return false
}

func TestASlowClientHoldsNoWorkerWhereItsAnswerIsReadAhead(t *testing.T) {
	h, content := slowSite(t, 4<<20)
	c := &slowClient{ResponseRecorder: httptest.NewRecorder(), takes: make(chan struct{})}
	ended := c.begin(h)
	if !idles(h, 10*time.Second) {
		t.Errorf("got %+v, want an idle worker", h.pool.Pool.Stats().Workers)
	}
	close(c.takes)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(c.Body.Bytes(), content) {
		t.Errorf("got %d bytes that differ, want %d", c.Body.Len(), len(content))
	}
}

func TestWhatIsReadAheadIsBounded(t *testing.T) {
	const limit = 500 << 10
	h, content := slowSite(t, limit)
	for _, leaves := range []bool{false, true} {
		c := &slowClient{ResponseRecorder: httptest.NewRecorder(), takes: make(chan struct{})}
		if leaves {
			c.err = errors.New("reset")
		}
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
		a, err := h.roundTrip(r, requestStateFrom(r), false)
		if err != nil {
			t.Fatal(err)
		}
		full := func() bool {
			a.buffer.mu.Lock()
			defer a.buffer.mu.Unlock()
			if got := cap(a.buffer.pending); got > 2*(limit+fastcgi.MaxFill) {
				t.Errorf("it holds %d bytes, want no more than %d", got, limit)
			}
			return len(a.buffer.pending)+fastcgi.MaxFill >= limit
		}
		for deadline := time.Now().Add(10 * time.Second); !full(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing is read ahead")
			}
		}
		if s := h.pool.Pool.Stats().Workers; s.Busy != 1 {
			t.Errorf("got %+v, want a busy worker: the rest of the answer has no place", s)
		}
		close(c.takes)
		err = a.copyTo(c)
		a.close()
		switch {
		case leaves && !errors.Is(err, errClientClosed):
			t.Errorf("got %v, want that the client has gone", err)
		case !leaves && (err != nil || !bytes.Equal(c.Body.Bytes(), content)):
			t.Errorf("got %d bytes and %v, want %d", c.Body.Len(), err, len(content))
		}
	}
}

// The transport gives to a reader whose buffer has any size.
func TestWhatIsReadAheadComesWholeThroughTheTransport(t *testing.T) {
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
			t.Errorf("by %d bytes: got %d that differ, want %d", size, got.Len(), len(content))
		}
	}
}

// A stream is passed on as it comes, however much room there is.
func TestReadingAheadDelaysNoStream(t *testing.T) {
	next := make(chan struct{})
	big := bytes.Repeat([]byte("x"), 2*fastcgi.MaxFill)
	h := fakeSite(t, testfiles.Write(t, "index.php"), 1, livetest.Answers(func(*fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.Response{
			fastcgitest.Stdout("Content-Type: text/event-stream\r\n\r\n"), fastcgitest.Stdout("data: first\n\n"), fastcgitest.Flush(),
			fastcgitest.Wait(next), fastcgitest.Stdout(string(big[:50000])), fastcgitest.Stdout(string(big[50000:100000])), fastcgitest.End(),
		}
	}))
	h.ResponseBuffers = 1 << 20
	r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
	a, err := h.roundTrip(r, requestStateFrom(r), false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if p, err := a.source().Next(); err != nil || string(p) != "data: first\n\n" {
		t.Errorf("got %q and %v, want the first event", p, err)
	}
	if a.source().Ready() {
		t.Error("got ready before there was a second event")
	}
	close(next)
	for n := 0; n < 100000; {
		p, err := a.source().Next()
		if err != nil {
			t.Fatal(err)
		}
		n += len(p)
	}
}
