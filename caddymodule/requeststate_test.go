package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// serveFuncs are the two ways in which a request reaches PHP. Each reads the whole
// response.
var serveFuncs = map[string]func(*Handler, *http.Request) error{
	"handler": func(h *Handler, r *http.Request) error {
		return h.ServeHTTP(httptest.NewRecorder(), r, nil)
	},
	"transport": func(h *Handler, r *http.Request) error {
		res, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err
	},
}

func replacerOf(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}

const allPlaceholders = "{http.php_pool.worker} {http.php_pool.pid} {http.php_pool.generation} {http.php_pool.script}"

func TestPlaceholders_AfterResponse(t *testing.T) {
	root := testfiles.Write(t, "index.php")
	h := fakeSite(t, root, 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }))
	for name, serve := range serveFuncs {
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), new(caddyhttp.Server))
		if err := serve(h, r); err != nil {
			t.Fatal(err)
		}
		repl := replacerOf(r)
		if got, want := repl.ReplaceAll(allPlaceholders, ""), "1 4001 1 "+root+"/index.php"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		for _, key := range []string{"http.php_pool.queue_seconds", "http.php_pool.time_to_first_byte_seconds"} {
			text, _ := repl.GetString(key)
			if seconds, err := strconv.ParseFloat(text, 64); err != nil || seconds <= 0 || seconds > 60 {
				t.Errorf("%s: %s is %q, want seconds", name, key, text)
			}
		}
		if _, known := repl.Get("http.php_pool.nonsense"); known {
			t.Errorf("%s: http.php_pool.nonsense is known, want unknown", name)
		}
	}
}

// TestPlaceholders_EmptyForStaticFile: a header set for all responses of a site must
// not contain the names of placeholders if PHP has not run.
func TestPlaceholders_EmptyForStaticFile(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "style.css"), 1, livetest.Serve(nil))
	r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/style.css", nil), new(caddyhttp.Server))
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	if err := h.ServeHTTP(httptest.NewRecorder(), r, next); err != nil {
		t.Fatal(err)
	}
	if got := replacerOf(r).ReplaceKnown(allPlaceholders, ""); got != "   " {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestPlaceholders_LastScript(t *testing.T) {
	root := testfiles.Write(t, "index.php", "error.php")
	h := fakeSite(t, root, 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		if strings.HasSuffix(r.Params["SCRIPT_FILENAME"], "error.php") {
			return fastcgitest.Response{fastcgitest.Close()}
		}
		return fastcgitest.OK("hello")
	}))
	r := prepareRequest(httptest.NewRequest(http.MethodPost, "http://example.com/index.php", nil), new(caddyhttp.Server))
	if err := h.ServeHTTP(httptest.NewRecorder(), r, nil); err != nil {
		t.Fatal(err)
	}
	r.URL.Path = "/error.php"
	if err := h.ServeHTTP(httptest.NewRecorder(), r, nil); err == nil {
		t.Fatal("got a response of a worker that exited")
	}
	if got, want := replacerOf(r).ReplaceAll(allPlaceholders, ""), "   "+root+"/error.php"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAccessLog_OneFieldPerRequest(t *testing.T) {
	root := testfiles.Write(t, "index.php")
	h := fakeSite(t, root, 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("hello") }))
	for name, serve := range serveFuncs {
		for _, logs := range []*caddyhttp.ServerLogConfig{nil, {}} {
			r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil), &caddyhttp.Server{Logs: logs})
			for range 2 {
				if err := serve(h, r); err != nil {
					t.Fatal(err)
				}
			}
			s := requestStateFrom(r)
			extra := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
			if n := reflect.ValueOf(extra).Elem().FieldByName("fields").Len(); n != map[bool]int{true: 1}[logs != nil] {
				t.Errorf("%s: logs %v: got %d fields", name, logs != nil, n)
			}
			field := zapcore.NewMapObjectEncoder()
			if err := s.MarshalLogObject(field); err != nil {
				t.Fatal(err)
			}
			if field.Fields["pool"] != "test" || field.Fields["script"] != root+"/index.php" || field.Fields["worker"] != uint64(1) ||
				field.Fields["pid"] != 4001 || field.Fields["generation"] != 1 || len(field.Fields) != 7 {
				t.Errorf("%s: got field %v", name, field.Fields)
			}
		}
	}
}

// closingClient closes its connection when it gets the first bytes.
type closingClient struct {
	discardWriter
	cancel func()
}

func (c *closingClient) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

func TestClientClosed_CountedOnce(t *testing.T) {
	blocked := make(chan struct{})
	t.Cleanup(func() { close(blocked) })
	roundTrip := func(h *Handler, r *http.Request) (*http.Response, error) {
		return (&Transport{Backend: h.Backend}).RoundTrip(r)
	}
	for name, c := range map[string]struct {
		script string
		want   uint64
		serve  func(h *Handler, r *http.Request, cancel func()) error
	}{
		"handler, before the header": {"/silent.php", 1, func(h *Handler, r *http.Request, _ func()) error {
			return h.ServeHTTP(httptest.NewRecorder(), r, nil)
		}},
		"transport, before the header": {"/silent.php", 1, func(h *Handler, r *http.Request, _ func()) error {
			res, err := roundTrip(h, r)
			if err == nil {
				res.Body.Close()
			}
			return err
		}},
		"handler, within the body": {"/half.php", 1, func(h *Handler, r *http.Request, cancel func()) error {
			return h.ServeHTTP(&closingClient{discardWriter{http.Header{}}, cancel}, r, nil)
		}},
		"transport, detected by Read": {"/half.php", 1, func(h *Handler, r *http.Request, cancel func()) error {
			res, err := roundTrip(h, r)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			cancel()
			if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, context.Canceled) {
				t.Errorf("reading the body: got %v, want %v", err, context.Canceled)
			}
			return nil
		}},
		"transport, detected by Close": {"/half.php", 1, func(h *Handler, r *http.Request, cancel func()) error {
			res, err := roundTrip(h, r)
			if err != nil {
				return err
			}
			cancel()
			return res.Body.Close()
		}},
		"handler, after the response": {"/whole.php", 0, func(h *Handler, r *http.Request, cancel func()) error {
			return h.ServeHTTP(&closingClient{discardWriter{http.Header{}}, cancel}, r, nil)
		}},
		"transport, after the response": {"/whole.php", 0, func(h *Handler, r *http.Request, cancel func()) error {
			res, err := roundTrip(h, r)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				return err
			}
			cancel()
			return res.Body.Close()
		}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		h := fakeSite(t, testfiles.Write(t, "silent.php", "half.php", "whole.php"), 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
			switch r.Params["SCRIPT_NAME"] {
			case "/silent.php":
				cancel()
				return fastcgitest.Response{fastcgitest.Wait(blocked)}
			case "/half.php":
				return fastcgitest.Response{
					fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nhalf"), fastcgitest.Flush(), fastcgitest.Wait(blocked),
				}
			}
			return fastcgitest.OK("whole")
		}))
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com"+c.script, nil).WithContext(ctx), new(caddyhttp.Server))
		err := c.serve(h, r, cancel)
		if handled, ok := errors.AsType[caddyhttp.HandlerError](err); (c.script == "/silent.php") != (ok && handled.StatusCode == live.StatusClientClosed) {
			t.Errorf("%s: got %v", name, err)
		}
		if got := h.pool.ClientsClosed.Load(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// TestRetryAfter_OfErrorPage checks that the Retry-After of an error page that PHP
// renders replaces that of the handler whose error it shows.
func TestRetryAfter_OfErrorPage(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "page.php", "other.php"), 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		if r.Params["SCRIPT_NAME"] == "/page.php" {
			return fastcgitest.Reply("Retry-After: 60\r\n\r\nsorry")
		}
		return fastcgitest.OK("sorry")
	}))
	for path, want := range map[string]string{"/page.php": "60", "/other.php": "5"} {
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com"+path, nil), new(caddyhttp.Server))
		w := httptest.NewRecorder()
		w.Header().Set("Retry-After", "5")
		requestStateFrom(r).errorHeader = w.Header()
		if err := h.ServeHTTP(w, r, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.Header()["Retry-After"]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got Retry-After %q, want %s", path, got, want)
		}
	}
}
