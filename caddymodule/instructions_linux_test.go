//go:build !race

package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/internal/instructions"
)

// TestInstructionsOfARequest is that of a request's whole way through the
// handler, with a worker whose answer is ready; what Caddy does before is in it.
func TestInstructionsOfARequest(t *testing.T) {
	// A request that is stepped through takes a tenth of a second, or more.
	defer func(script, root time.Duration) { lookAgain, roots.trust = script, root }(lookAgain, roots.trust)
	lookAgain, roots.trust = time.Hour, time.Hour
	for _, c := range []struct {
		path     string
		recorded int
	}{
		{"/index.php", 45500},
		{"/style.css", 17200},
	} {
		t.Run(c.path[1:], func(t *testing.T) {
			h := fakeSite(t, layOut(t, "index.php", "style.css"), 1, canned)
			next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
			w := &sink{header: http.Header{}}
			server := new(caddyhttp.Server)
			r := httptest.NewRequest(http.MethodGet, "http://example.com"+c.path, nil)
			instructions.Hold(t, c.recorded, func() {
				clear(w.header)
				if err := h.ServeHTTP(w, prepared(r, server), next); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
