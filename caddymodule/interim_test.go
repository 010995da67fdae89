package caddymodule

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// TestInterim_HTTP10 checks that an HTTP/1.0 client, which knows no interim responses,
// gets none, and that the header of one does not stay.
func TestInterim_HTTP10(t *testing.T) {
	h := fakeSite(t, testfiles.Write(t, "index.php"), 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
		return fastcgitest.Reply("Status: 103\r\nLink: </a.css>\r\nContent-Length: 5\r\n\r\nhello")
	}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.ServeHTTP(w, prepareRequest(r, new(caddyhttp.Server)), nil); err != nil {
			t.Error(err)
		}
	}))
	defer s.Close()
	for version, want := range map[string]string{"1.0": "HTTP/1.0 200 OK", "1.1": "HTTP/1.1 103 Early Hints"} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /index.php HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n", version)
		raw, err := io.ReadAll(conn)
		conn.Close()
		if text := string(raw); err != nil || !strings.HasPrefix(text, want+"\r\n") || strings.Count(text, "Content-Length: 5\r\n") != 1 ||
			strings.Count(text, "Link: </a.css>\r\n") != strings.Count(text, "HTTP/") {
			t.Errorf("HTTP/%s: got %q, error %v", version, raw, err)
		}
	}
}
