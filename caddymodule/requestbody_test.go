package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/fastcgi"
)

func TestBodyStream_WhichBodies(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		buffering           *bool
		method, contentType string
		length              int64
		want                bool
	}{
		{nil, "PATCH", "", 10, false},
		{new(true), "PATCH", "", 10, false},
		{new(false), "PATCH", "", 10, true},
		{new(false), "PATCH", form, 10, true}, // PHP parses those of POST only
		{new(false), "POST", "", 10, true},
		{new(false), "POST", "multipart/form-data; boundary=x", 10, true},
		{new(false), "POST", form, 10, false},
		{new(false), "POST", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", 10, false},
		{new(false), "PATCH", "", 0, false},
		{new(false), "PATCH", "", -1, false},
	} {
		b := &Backend{RequestBuffering: c.buffering}
		r := httptest.NewRequest(c.method, "/", strings.NewReader("0123456789"))
		r.ContentLength = c.length
		r.Header.Set("Content-Type", c.contentType)
		if got := b.streams(r); got != c.want {
			t.Errorf("%+v: got %t", c, got)
		}
	}
}

// A body that an earlier handler has passed on is not read again.
func TestBodyStream_TakenOnce(t *testing.T) {
	h := &Backend{RequestBuffering: new(false), MaxBody: 10}
	r := httptest.NewRequest(http.MethodPatch, "/", strings.NewReader("0123456789"))
	state := new(requestState)
	if body, stream, err := h.readBody(r, state); err != nil || stream == nil || body.Length != 10 {
		t.Errorf("got %+v, %v, %v, want a stream", body, stream, err)
	}
	if body, stream, err := h.readBody(r, state); err != nil || stream != nil || body.Length != 0 {
		t.Errorf("again: got %+v, %v, %v, want no body", body, stream, err)
	}
	h.MaxBody = 9
	if _, _, err := h.readBody(r, new(requestState)); statusOf(err) != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v, want status 413", err)
	}
}

func TestBodyStream_ErrorStatus(t *testing.T) {
	body := func(err error) error { return &fastcgi.TransportError{Err: &fastcgi.BodyError{Err: err}} }
	tooLarge := caddyhttp.Error(http.StatusRequestEntityTooLarge, errors.New("of request_body"))
	r := httptest.NewRequest(http.MethodPatch, "/", nil)
	for err, want := range map[error]int{
		body(fastcgi.ErrBodyTimeout):               408,
		body(fmt.Errorf("malformed")):              400,
		body(tooLarge):                             413,
		&fastcgi.TransportError{Err: os.ErrClosed}: 0, // not the client's fault
	} {
		if got := statusOf(streamError(err, r, new(clientBody))); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}
