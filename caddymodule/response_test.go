package caddymodule

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// spooledSize is the length in bytes of a body that is too large for memory.
const spooledSize = 5 << 20

// TestRequest_FreesPoolAndSpool checks that a request leaves the pool and removes
// its spool file, whether it succeeds or not.
func TestRequest_FreesPoolAndSpool(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "whole.php", "die.php", "break.php"), 2, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		switch r.Params["SCRIPT_NAME"] {
		case "/die.php":
			return fastcgitest.Response{fastcgitest.Close()}
		case "/break.php":
			return fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nhalf"), fastcgitest.Flush(), fastcgitest.Close()}
		}
		return fastcgitest.OK("whole")
	}))
	for name, serve := range serveFuncs {
		for i, path := range []string{"/whole.php", "/die.php", "/break.php", "/whole.php", "/die.php", "/break.php"} {
			h.ResponseBuffers = int64(i / 3 << 20)
			r := prepareRequest(httptest.NewRequest(http.MethodPost, "http://example.com"+path,
				bytes.NewReader(make([]byte, spooledSize))), new(caddyhttp.Server))
			err := func() (err error) {
				defer func() {
					if recover() != nil {
						err = io.ErrUnexpectedEOF // the connection is aborted
					}
				}()
				return serve(h, r)
			}()
			if (err == nil) != (path == "/whole.php") {
				t.Errorf("%s: %s: got %v", name, path, err)
			}
			if n := h.pool.InUse(); n != 0 {
				t.Errorf("%s: %s: got %d requests in the pool, want 0", name, path, n)
			}
			if n := h.pool.Spool.InFiles(); n != 0 {
				t.Errorf("%s: %s: got %d bytes in spool files, want 0", name, path, n)
			}
		}
	}
}

// TestSpool_FreedBeforeClientReads checks that nothing is held for a request whose
// response has arrived completely, while the client still reads it.
func TestSpool_FreedBeforeClientReads(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "whole.php"), 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("whole") }))
	r := prepareRequest(httptest.NewRequest(http.MethodPost, "http://example.com/whole.php",
		bytes.NewReader(make([]byte, spooledSize))), new(caddyhttp.Server))
	res, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if s := h.pool.Pool.Stats(); s.Workers.Idle != 1 || h.pool.Spool.InFiles() != 0 {
		t.Errorf("got %+v and %d bytes in spool files, want an idle worker and 0", s.Workers, h.pool.Spool.InFiles())
	}
}

func TestInvalidHeaders_LoggedOncePerResponse(t *testing.T) {
	root := testfiles.Write(t, "valid.php", "invalid.php")
	h := fakeSite(t, root, 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		if r.Params["SCRIPT_NAME"] == "/invalid.php" {
			return fastcgitest.Reply("X Space: a\r\nX-Valid: b\r\nno colon\r\n\r\nhello")
		}
		return fastcgitest.Reply("X-Valid: b\r\n\r\nhello")
	}))
	core, logs := observer.New(zapcore.WarnLevel)
	h.logger = zap.New(core)
	for name, serve := range serveFuncs {
		for _, c := range []struct {
			path string
			want int
		}{{"/valid.php", 0}, {"/invalid.php", 1}} {
			r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com"+c.path, nil), new(caddyhttp.Server))
			if err := serve(h, r); err != nil {
				t.Fatal(err)
			}
			entries := logs.TakeAll()
			if len(entries) != c.want {
				t.Errorf("%s: %s: got %d log entries, want %d: %v", name, c.path, len(entries), c.want, entries)
			}
			for _, e := range entries {
				fields := e.ContextMap()
				if e.Level != zapcore.WarnLevel || e.Message != "invalid header lines in the response from PHP dropped" ||
					fields["pool"] != "test" || fields["script"] != root+c.path || fields["count"] != int64(2) {
					t.Errorf("%s: got %v %q with %v", name, e.Level, e.Message, fields)
				}
			}
		}
	}
}

// TestDetached logs a request whose handler has returned, while another handler sets
// variables: the race detector finds a variable that both use.
func TestDetached(t *testing.T) {
	vars := map[string]any{caddyhttp.ClientIPVarKey: "192.0.2.1"}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), caddyhttp.VarsCtxKey, vars))
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/a.php", nil)
	copied := detached(r)
	cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		enc := zapcore.NewMapObjectEncoder()
		_ = caddyhttp.LoggableHTTPRequest{Request: copied}.MarshalLogObject(enc)
		if enc.Fields["client_ip"] != "192.0.2.1" || copied.Context().Err() != nil {
			t.Errorf("got %v, context %v", enc.Fields, copied.Context().Err())
		}
	}()
	caddyhttp.SetVar(ctx, "a", "b")
	r.Header.Set("A", "b")
	<-done
}
