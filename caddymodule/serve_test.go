package caddymodule

import (
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// sink is a client that takes everything.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) Flush()                      {}

// canned answers whatever arrives with an answer that was made before, so that
// it costs a benchmark nothing.
func canned(c net.Conn) {
	answer := fastcgitest.Encode(fastcgitest.Reply(
		"X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\nhello"), 1)
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		// Every record has the id of the request.
		for record := answer; len(record) > 0; {
			copy(record[2:4], buf[2:4])
			record = record[8+int(binary.BigEndian.Uint16(record[4:]))+int(record[6]):]
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// BenchmarkServeHTTP is the whole handler. What Caddy's server does before it
// is part of each round, and measured by itself as "prepare"; "file" is a request
// that goes on to the next handler.
func BenchmarkServeHTTP(b *testing.B) {
	root := testfiles.Write(b, "index.php", "style.css")
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	h := fakeSite(b, root, 1, canned)
	r := httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil)
	w := &sink{header: http.Header{}}
	run := func(name string, server *caddyhttp.Server, r *http.Request, serve bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				r := prepareRequest(r, server)
				if !serve {
					continue
				}
				if err := h.ServeHTTP(w, r, next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	quiet := new(caddyhttp.Server)
	logs := &caddyhttp.Server{Logs: new(caddyhttp.ServerLogConfig)}
	run("prepare", quiet, r, false)
	run("plain", quiet, r, true)
	run("logged", logs, r, true)
	run("file", quiet, httptest.NewRequest(http.MethodGet, "http://example.com/style.css", nil), true)
}
