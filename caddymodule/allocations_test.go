//go:build !race

package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// TestAllocationsOfARequest holds what a request may allocate on the heap, beside
// what Caddy's server does before it: each allocation is work for the garbage
// collector too, which is a tenth of Caddy's time. The race detector changes
// the count.
func TestAllocationsOfARequest(t *testing.T) {
	root := testfiles.Write(t, "index.php", "style.css")
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	h := fakeSite(t, root, 1, canned)
	w := &sink{header: http.Header{}}
	server := new(caddyhttp.Server)
	for _, c := range []struct {
		path string
		most float64
	}{
		{"/index.php", 12},
		{"/style.css", 5},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://example.com"+c.path, nil)
		before := testing.AllocsPerRun(1000, func() { prepareRequest(r, server) })
		all := testing.AllocsPerRun(1000, func() {
			clear(w.header)
			if err := h.ServeHTTP(w, prepareRequest(r, server), next); err != nil {
				t.Error(err)
			}
		})
		if got := all - before; got > c.most {
			t.Errorf("%s: %v allocations, want %v at most", c.path, got, c.most)
		}
	}
}
