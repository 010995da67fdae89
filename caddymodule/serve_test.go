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

// discardWriter is a client that discards what it gets.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) WriteHeader(int)             {}
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *discardWriter) Flush()                      {}

// serveCanned responds to every read with a response encoded in advance, so that the
// worker adds nothing to the time and the allocations of a benchmark.
func serveCanned(c net.Conn) {
	encoded := fastcgitest.Encode(fastcgitest.Reply(
		"X-Powered-By: PHP/8.2\r\nContent-type: text/html; charset=UTF-8\r\n\r\nhello"), 1)
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		// Copy the request id into every record.
		for record := encoded; len(record) > 0; {
			copy(record[2:4], buf[2:4])
			record = record[8+int(binary.BigEndian.Uint16(record[4:]))+int(record[6]):]
		}
		if _, err := c.Write(encoded); err != nil {
			return
		}
	}
}

// BenchmarkServeHTTP measures the whole handler. Each round includes the work of
// Caddy's server before it, which "prepare" measures alone; "file" is a request that
// is passed on to the next handler.
func BenchmarkServeHTTP(b *testing.B) {
	root := testfiles.Write(b, "index.php", "style.css")
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	h := fakeSite(b, root, 1, serveCanned)
	r := httptest.NewRequest(http.MethodGet, "http://example.com/index.php", nil)
	w := &discardWriter{header: http.Header{}}
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
	withoutLog := new(caddyhttp.Server)
	withLog := &caddyhttp.Server{Logs: new(caddyhttp.ServerLogConfig)}
	run("prepare", withoutLog, r, false)
	run("plain", withoutLog, r, true)
	run("logged", withLog, r, true)
	run("file", withoutLog, httptest.NewRequest(http.MethodGet, "http://example.com/style.css", nil), true)
}
