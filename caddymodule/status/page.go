package status

import (
	"crypto/rand"
	_ "embed"
	"io"
	"net/http"
	"strings"
)

// pageHTML shows pools to people: one file, nothing from elsewhere.
//
//go:embed page.html
var pageHTML string

// liveQuery is the query by which the page asks for what it shows.
const liveQuery = "live"

// servePage answers a request for the page, or for the pools that it shows.
func servePage(w http.ResponseWriter, r *http.Request, shown func() []poolJSON) error {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Query().Has(liveQuery) {
		return writeJSON(w, shown())
	}
	// Whatever slipped through, no script but this one runs, and the page asks
	// nobody else.
	nonce := rand.Text()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, err := io.WriteString(w, strings.ReplaceAll(pageHTML, "NONCE", nonce))
	return err
}

// page is GET /php_pool/ of the admin API.
func (Admin) page(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path != "/php_pool/" {
		return notFound("there is nothing at %s: the pools are at /php_pool/pools", r.URL.Path)
	}
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return servePage(w, r, func() []poolJSON {
		return describeAll(detail{workers: true, opcache: true, fullURI: wantsFullURI(r)})
	})
}

// wantsPage reports whether a browser asks, and for none of the formats that a
// query names.
func wantsPage(r *http.Request) bool {
	return r.URL.RawQuery == liveQuery || r.URL.RawQuery == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}
