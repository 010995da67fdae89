package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// inAFile is the length of a body that goes to a file.
const inAFile = 5 << 20

// Whatever becomes of a request, it leaves the pool, and the file with its body
// goes.
func TestARequestLeavesNothingBehind(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "whole.php", "die.php", "break.php"), 2, livetest.Answers(func(r *fastcgitest.Request) fastcgitest.Response {
		switch r.Params["SCRIPT_NAME"] {
		case "/die.php":
			return fastcgitest.Response{fastcgitest.Close()}
		case "/break.php":
			return fastcgitest.Response{fastcgitest.Stdout("Content-Type: text/plain\r\n\r\nhalf"), fastcgitest.Flush(), fastcgitest.Close()}
		}
		return fastcgitest.OK("whole")
	}))
	for name, serve := range ways {
		for i, path := range []string{"/whole.php", "/die.php", "/break.php", "/whole.php", "/die.php", "/break.php"} {
			h.ResponseBuffers = int64(i / 3 << 20)
			r := prepared(httptest.NewRequest(http.MethodPost, "http://example.com"+path,
				bytes.NewReader(make([]byte, inAFile))), new(caddyhttp.Server))
			err := func() (err error) {
				defer func() {
					if recover() != nil {
						err = io.ErrUnexpectedEOF // the connection is broken off
					}
				}()
				return serve(h, r)
			}()
			if (err == nil) != (path == "/whole.php") {
				t.Errorf("%s: %s: got %v", name, path, err)
			}
			if n := h.pool.InUse(); n != 0 {
				t.Errorf("%s: %s: %d requests are in the pool", name, path, n)
			}
			if n := h.pool.Spool.InFiles(); n != 0 {
				t.Errorf("%s: %s: %d bytes are left of the body", name, path, n)
			}
		}
	}
}

// While the client reads a short answer, nothing is held for it any more.
func TestABodyGoesWhenTheAnswerIsThere(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "whole.php"), 1, livetest.Answers(func(*fastcgitest.Request) fastcgitest.Response { return fastcgitest.OK("whole") }))
	r := prepared(httptest.NewRequest(http.MethodPost, "http://example.com/whole.php",
		bytes.NewReader(make([]byte, inAFile))), new(caddyhttp.Server))
	res, err := (&Transport{Backend: h.Backend}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if s := h.pool.Pool.Stats(); s.Workers.Idle != 1 || h.pool.Spool.InFiles() != 0 {
		t.Errorf("got %+v and %d bytes of the body, want an idle worker and none", s.Workers, h.pool.Spool.InFiles())
	}
}
