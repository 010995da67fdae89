//go:build !race

package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// TestServeHTTP_Allocations limits the heap allocations of a request, without those
// of Caddy's server before it: garbage collection takes about a tenth of Caddy's
// CPU time. The race detector changes the count, hence the build tag.
func TestServeHTTP_Allocations(t *testing.T) {
	root := testfiles.Write(t, "index.php", "style.css")
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	h := fakeSite(t, root, 1, serveCanned)
	w := &discardWriter{header: http.Header{}}
	server := new(caddyhttp.Server)
	for _, c := range []struct {
		path  string
		limit float64
	}{
		{"/index.php", 12},
		{"/style.css", 5},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://example.com"+c.path, nil)
		before := testing.AllocsPerRun(1000, func() { prepareRequest(r, server) })
		total := testing.AllocsPerRun(1000, func() {
			clear(w.header)
			if err := h.ServeHTTP(w, prepareRequest(r, server), next); err != nil {
				t.Error(err)
			}
		})
		if got := total - before; got > c.limit {
			t.Errorf("%s: got %v allocations, want at most %v", c.path, got, c.limit)
		}
	}
}
