package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// changer is a writer of another module, which changes the body and leaves a
// Content-Length as it is.
type changer struct {
	http.ResponseWriter
	times int
}

func (c *changer) Write(p []byte) (int, error) {
	for range c.times {
		if _, err := c.ResponseWriter.Write(p); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c *changer) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// valueWriter is not a pointer.
type valueWriter struct{ http.ResponseWriter }

// TestAnnounceLength_ChangedBody checks that a response is whole if another handler
// changes the body, and that its length is announced if none can.
func TestAnnounceLength_ChangedBody(t *testing.T) {
	for _, size := range []int{0, 5, maxServerLength, maxServerLength + 1, 100_000} {
		body := strings.Repeat("x", size)
		h := fakeSite(t, testfiles.Write(t, "index.php"), 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
			return fastcgitest.OK(body)
		}))
		for name, c := range map[string]struct {
			wrap      func(http.ResponseWriter) http.ResponseWriter
			times     int
			unchanged bool
		}{
			"server": {func(w http.ResponseWriter) http.ResponseWriter { return w }, 1, true},
			"access log": {func(w http.ResponseWriter) http.ResponseWriter {
				return caddyhttp.NewResponseRecorder(w, nil, nil)
			}, 1, true},
			"recorder with a buffer": {func(w http.ResponseWriter) http.ResponseWriter {
				return caddyhttp.NewResponseRecorder(w, new(bytes.Buffer), func(int, http.Header) bool { return false })
			}, 1, false},
			"value":  {func(w http.ResponseWriter) http.ResponseWriter { return valueWriter{w} }, 1, false},
			"longer": {func(w http.ResponseWriter) http.ResponseWriter { return &changer{w, 2} }, 2, false},
			"empty":  {func(w http.ResponseWriter) http.ResponseWriter { return &changer{w, 0} }, 0, false},
			"longer, below log": {func(w http.ResponseWriter) http.ResponseWriter {
				return caddyhttp.NewResponseRecorder(&changer{w, 2}, nil, nil)
			}, 2, false},
		} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := h.ServeHTTP(c.wrap(w), prepareRequest(r, new(caddyhttp.Server)), nil); err != nil {
					t.Error(err)
				}
			}))
			res, err := s.Client().Get(s.URL + "/index.php")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if want := strings.Repeat(body, c.times); string(got) != want || err != nil {
				t.Errorf("%s, %d bytes: got %d bytes, error %v, want %d", name, size, len(got), err, len(want))
			}
			if length := res.Header.Get("Content-Length"); c.unchanged && length != strconv.Itoa(size) {
				t.Errorf("%s, %d bytes: got Content-Length %q", name, size, length)
			} else if !c.unchanged && size > maxServerLength && length != "" && length != "0" {
				t.Errorf("%s, %d bytes: got Content-Length %q, want none", name, size, length)
			}
			res.Body.Close()
			s.Close()
		}
	}
}
