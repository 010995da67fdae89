package status

import (
	"crypto/rand"
	_ "embed"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live"
)

// pageHTML is the live page. It loads nothing from other hosts.
//
//go:embed page.html
var pageHTML string

// Queries with which the page requests its data.
const (
	liveQuery    = "live"
	historyQuery = "history"
)

// servePage responds with the page, or with what it shows of the pools.
func servePage(w http.ResponseWriter, r *http.Request, pools []*live.Pool, describe func() []poolJSON) error {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Query().Has(historyQuery) {
		since, err := parseSince(r)
		if err != nil {
			return caddyhttp.Error(http.StatusBadRequest, err)
		}
		byName := map[string]historyJSON{}
		for _, p := range pools {
			byName[p.Name] = describeHistory(p, since)
		}
		return writeJSON(w, byName)
	}
	if r.URL.Query().Has(liveQuery) {
		return writeJSON(w, describe())
	}
	// Even if markup from a request got into the page, the browser would run no
	// other script and load nothing from other hosts.
	nonce := rand.Text()
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; style-src 'nonce-"+nonce+
		"'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, err := io.WriteString(w, strings.ReplaceAll(pageHTML, "NONCE", nonce))
	return err
}

// page serves GET /php_pool/ of the admin API.
func (Admin) page(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path != "/php_pool/" {
		return notFound("%s does not exist: the pools are at /php_pool/pools", r.URL.Path)
	}
	if err := allow(w, r, http.MethodGet); err != nil {
		return err
	}
	return servePage(w, r, live.All(), func() []poolJSON {
		return describeAll(detail{workers: true, opcache: true, fullURI: wantsFullURI(r)})
	})
}

// wantsPage reports whether the request is for the live page or its data: it comes
// from a browser, without a query that selects another format.
func wantsPage(r *http.Request) bool {
	return r.URL.RawQuery == liveQuery || strings.HasPrefix(r.URL.RawQuery, historyQuery) || r.URL.RawQuery == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}
