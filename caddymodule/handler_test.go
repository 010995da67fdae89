package caddymodule

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/cgi"
)

// Hidden files get 404 unless hide_sensitive is off. The next handler gets only the
// other requests.
func TestHideSensitive_NextHandler(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", ".env", "style.css", "sub/x.php.bak"} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("<?php"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	h := new(Handler)
	if err := h.site.Provision(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	var err error
	if h.router, err = cgi.NewRouter(ctx, &h.site, "", nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		target string
		hide   *bool
		passed bool
	}{
		{"/style.css", nil, true},
		{"/.env", nil, false},
		{"/%2eenv", nil, false},
		{"/sub/../.env", nil, false},
		{"//.env", nil, false},
		{"/sub/x.php.bak", nil, false},
		{"/sub/x.php.bak", new(true), false},
		{"/sub/x.php.bak", new(false), true},
		{"/.env", new(false), true},
	} {
		h.HideSensitive = c.hide
		r := prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com"+c.target, nil), new(caddyhttp.Server))
		caddyhttp.SetVar(r.Context(), "root", root)
		passed := false
		err := h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
			passed = true
			return nil
		}))
		want := http.StatusNotFound
		if c.passed {
			want = 0
		}
		if passed != c.passed || statusOf(err) != want {
			t.Errorf("%s, hide_sensitive %v: passed on %t with %v, want %t and status %d", c.target, c.hide, passed, err, c.passed, want)
		}
	}
}
