package cgi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// request returns a request as Caddy's server passes it to handlers.
func request(target, root string) (*http.Request, *State) {
	r := httptest.NewRequest(http.MethodGet, "http://example.com"+target, nil)
	repl := caddy.NewReplacer()
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{"root": root})
	ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, *r)
	r = r.WithContext(ctx)
	caddyhttp.NewTestReplacer(r)
	repl = r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer) // NewTestReplacer has set another one
	s := NewState(repl)
	repl.Map(func(key string) (any, bool) {
		name, ok := strings.CutPrefix(key, "http.matchers.file.")
		if !ok {
			return nil, false
		}
		return s.File(name)
	})
	return r, &s
}

func testSite(t *testing.T) *Site {
	t.Helper()
	s := &Site{ResolveRootSymlink: true}
	if err := s.Provision(); err != nil {
		t.Fatal(err)
	}
	return s
}

func testRouter(t *testing.T, site *Site) *Router {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	rt, err := NewRouter(ctx, site, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// TestRoute_MatchesCaddy checks that a router finds the same file as Caddy's matcher
// with the patterns of php_fastcgi.
func TestRoute_MatchesCaddy(t *testing.T) {
	root := testfiles.Write(t, "index.php", "app.php", "page.php", "style.css", "dir/index.php", "dir/other.php",
		"empty/note.txt", "with space/index.php", "with space/a+b.php", "class.phpmailer.php", "big.php", "big.php.d/env.php")
	site := testSite(t)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for _, tryFiles := range [][]string{
		nil,
		{"{path}", "{path}/index.php", "/index.php"},
		{"{path}", "{path}/", "{path}/index.php", "index.php"},
		{"{http.request.uri.path}", "{http.request.uri.path}/index.php", "app.php"},
		{"{path}", "app.php"},
		{"/app.php"},
		{"{path}"},
		{"{path}.php", "{path}", "/missing.php"},
		{"{path}", "/app.php/{path}"},
		{"{path}", "/app.php/info"},
		{"{path}", "/d*/other.php", "index.php"},
		{"{path}", "=404"},
	} {
		rt, err := NewRouter(ctx, site, "", tryFiles)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{
			"/", "/index.php", "/page.php", "/page.php/info", "/page.php/info/", "/style.css", "/dir", "/dir/", "/dir/.",
			"/dir/other.php", "/dir/other.php/x", "/missing", "/missing/", "/missing.php", "/missing.php/x", "/page",
			"/empty", "/empty/", "/empty/note.txt", "/empty/note.txt/", "/index.php/", "//dir//other.php",
			"/dir/../page.php", "/dir/./", "/.", "/..", "/dir/..", "/page.php/..", "/page.phpx", "/PAGE.PHP", "/style.css/x.php",
			"/with%20space/", "/with%20space", "/with%20space/a+b.php", "/%2e%2e/page.php", "/page.php%2Fx", "/a*b", "/[dir]/",
			"/class.phpmailer.php", "/big.php.d/env.php", "/big.php.d/missing.php", "/big.php.d/", "/dir%2Fother.php",
		} {
			r, state := request(target, root)
			w := httptest.NewRecorder()
			done, err := rt.Route(w, r, state)
			want := caddyRoute(t, ctx, target, root, tryFiles)
			if (err != nil) != want.failed || done != want.redirect {
				t.Errorf("%v: %s: done %t, error %v; want %t, error %t", tryFiles, target, done, err, want.redirect, want.failed)
			}
			if err != nil || done || want.failed || want.redirect {
				continue
			}
			info, _ := state.Repl.GetString("http.matchers.file.remainder")
			if r.URL.Path != want.path || info != want.info || r.URL.RawPath != want.rawPath {
				t.Errorf("%v: %s: got %q (%q) with info %q, want %q (%q) with %q",
					tryFiles, target, r.URL.Path, r.URL.RawPath, info, want.path, want.rawPath, want.info)
			}
		}
	}
}

// caddyRouted is the result of caddyRoute.
type caddyRouted struct {
	redirect, failed    bool
	path, rawPath, info string
}

// caddyRoute routes a request as the expansion of php_fastcgi does.
func caddyRoute(t *testing.T, ctx caddy.Context, target, root string, tryFiles []string) caddyRouted {
	t.Helper()
	match := func(m *fileserver.MatchFile) (bool, *http.Request, *caddy.Replacer, error) {
		r, state := request(target, root)
		m.Root = root
		if err := m.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		ok, err := m.MatchWithError(r)
		return ok, r, state.Repl, err
	}
	policy, redirects := "first_exist_fallback", true
	for i := range tryFiles {
		tryFiles[i] = strings.ReplaceAll(tryFiles[i], "{path}", "{http.request.uri.path}") // as the Caddyfile does
	}
	if tryFiles == nil {
		tryFiles = []string{"{http.request.uri.path}", "{http.request.uri.path}/index.php", "index.php"}
	} else {
		redirects = slices.Contains(tryFiles, "{http.request.uri.path}/index.php")
		if !strings.HasSuffix(tryFiles[len(tryFiles)-1], ".php") {
			policy = ""
		}
	}
	r, _ := request(target, root)
	slash, _ := caddyhttp.MatchPath{"*/"}.MatchWithError(r)
	isDir, _, _, err := match(&fileserver.MatchFile{TryFiles: []string{"{http.request.uri.path}/index.php"}})
	if err != nil {
		t.Fatal(err)
	}
	if isDir && !slash && redirects {
		return caddyRouted{redirect: true}
	}
	ok, r, repl, err := match(&fileserver.MatchFile{TryFiles: tryFiles, TryPolicy: policy, SplitPath: []string{".php"}})
	if err != nil {
		return caddyRouted{failed: true}
	}
	if ok {
		rw := rewrite.Rewrite{URI: "{http.matchers.file.relative}"}
		if err := rw.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		rw.Rewrite(r, repl)
	}
	info, _ := repl.GetString("http.matchers.file.remainder")
	return caddyRouted{path: r.URL.Path, rawPath: r.URL.RawPath, info: info}
}

// TestRoute_ScriptNames checks what is deliberately different from php_fastcgi: a
// directory may have the name of a script, and the file that try_files has found
// runs.
func TestRoute_ScriptNames(t *testing.T) {
	root := testfiles.Write(t, "index.php", "dir.php/index.php", "dir.php/other.php", "dir.php/style.css", "dir.php/sub/index.php",
		"empty.php/note.txt", "big.php", "big.php.d/env.php", "class.phpmailer.php", "a.php/b.php/c.php", "x.php.d/file.css")
	site := testSite(t)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for _, tryFiles := range [][]string{nil, {"{path}", "{path}/index.php", "/index.php"}, {"{path}", "{path}/", "{path}/index.php", "/index.php"}} {
		rt, err := NewRouter(ctx, site, "", tryFiles)
		if err != nil {
			t.Fatal(err)
		}
		for target, want := range map[string]struct {
			script, info string // "redirect", or the path of a static file without info
		}{
			"/dir.php":                     {"redirect", ""},
			"/dir.php/":                    {"/dir.php/index.php", ""},
			"/dir.php/index.php":           {"/dir.php/index.php", ""},
			"/dir.php/index.php/info":      {"/dir.php/index.php", "/info"},
			"/dir.php/other.php":           {"/dir.php/other.php", ""},
			"/dir.php/other.php/info":      {"/dir.php/other.php", "/info"},
			"/dir.php/style.css":           {"/dir.php/style.css", ""},
			"/dir.php/sub":                 {"redirect", ""},
			"/dir.php/sub/":                {"/dir.php/sub/index.php", ""},
			"/dir.php/missing":             {"/index.php", ""},
			"/dir.php/missing.php":         {"/index.php", ""},
			"/empty.php":                   {"/index.php", ""},
			"/empty.php/":                  {"/index.php", ""},
			"/empty.php/note.txt":          {"/empty.php/note.txt", ""},
			"/big.php":                     {"/big.php", ""},
			"/big.php/d/env.php":           {"/big.php", "/d/env.php"},
			"/big.php.d/env.php":           {"/big.php.d/env.php", ""},
			"/big.php.d/env.php/info":      {"/big.php.d/env.php", "/info"},
			"/big.php.d/missing.php":       {"/index.php", ""},
			"/class.phpmailer.php":         {"/class.phpmailer.php", ""},
			"/class.phpmailer.php/a.php/b": {"/class.phpmailer.php", "/a.php/b"},
			"/a.php/b.php/c.php":           {"/a.php/b.php/c.php", ""},
			"/a.php/b.php/c.php/d.php":     {"/a.php/b.php/c.php", "/d.php"},
			"/x.php.d/file.css":            {"/x.php.d/file.css", ""},
		} {
			r, state := request(target, root)
			w := httptest.NewRecorder()
			done, err := rt.Route(w, r, state)
			if err != nil || done != (want.script == "redirect") {
				t.Errorf("%v: %s: done %t, %v", tryFiles, target, done, err)
				continue
			}
			if done {
				continue
			}
			if r.URL.Path != want.script {
				t.Errorf("%v: %s: routed to %s, want %s", tryFiles, target, r.URL.Path, want.script)
				continue
			}
			if !site.IsScript(want.script) {
				continue
			}
			s, err := site.FindScript(r, state)
			if err != nil || s.Filename != filepath.Join(root, want.script) || s.name != want.script || s.info != want.info {
				t.Errorf("%v: %s: runs %s with %q, %v; want %s with %q", tryFiles, target, s.Filename, s.info, err, want.script, want.info)
			}
		}
	}
}

// TestRoute_OwnRoot checks that the option root is about PHP's files only, whatever
// try_files is.
func TestRoute_OwnRoot(t *testing.T) {
	dir := testfiles.Write(t, "site/static.txt", "site/both.txt", "site/leak.php", "site/dir/page.html", "site/x.php/style.css",
		"php/index.php", "php/env.php", "php/both.txt", "php/dir/index.php", "php/dir/env.php", "php/secret.txt", "php/sub/index.php")
	site := &Site{Root: filepath.Join(dir, "php"), ResolveRootSymlink: true}
	if err := site.Provision(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for _, tryFiles := range [][]string{nil, {"{path}", "{path}/index.php", "/index.php"}, {"{path}", "{path}/index.php", "{path}*index.php", "/index.php"}} {
		rt, err := NewRouter(ctx, site, "", tryFiles)
		if err != nil {
			t.Fatal(err)
		}
		for target, want := range map[string]string{
			"/static.txt":       "/static.txt",
			"/both.txt":         "/both.txt",
			"/secret.txt":       "/index.php",
			"/":                 "/index.php",
			"/env.php":          "/env.php",
			"/env.php/info":     "/env.php",
			"/leak.php":         "/index.php",
			"/missing":          "/index.php",
			"/dir":              "redirect",
			"/dir/":             "/dir/index.php",
			"/dir/page.html":    "/dir/page.html",
			"/dir/env.php/info": "/dir/env.php",
			"/sub":              "redirect",
			"/sub/":             "/sub/index.php",
			"/x.php/style.css":  "/x.php/style.css",
		} {
			r, state := request(target, filepath.Join(dir, "site"))
			done, err := rt.Route(httptest.NewRecorder(), r, state)
			got := r.URL.Path
			if done {
				got = "redirect"
			}
			if err != nil || got != want {
				t.Errorf("%v: %s: got %s, %v; want %s", tryFiles, target, got, err, want)
				continue
			}
			absolute, _ := state.Repl.GetString("http.matchers.file.absolute")
			if site.IsScript(got) {
				s, err := site.FindScript(r, state)
				if err != nil || s.Filename != filepath.Join(dir, "php", want) || s.root != filepath.Join(dir, "php") || absolute != s.Filename {
					t.Errorf("%s: runs %s below %s, placeholder %s, %v", target, s.Filename, s.root, absolute, err)
				}
			} else if !done && absolute != filepath.Join(dir, "site", want) {
				t.Errorf("%s: placeholder %s", target, absolute)
			}
		}
	}
}

func TestRoute_RedirectStaysOnSite(t *testing.T) {
	root := testfiles.Write(t, "index.php", "sub/index.php")
	rt := testRouter(t, testSite(t))
	for target, want := range map[string]string{
		"/sub":                         "./sub/",
		"/sub?a=b":                     "./sub/?a=b",
		"/%2Fevil.com%2F..%2F..%2Fsub": "./%2Fevil.com%2F..%2F..%2Fsub/",
	} {
		r, state := request(target, root)
		w := httptest.NewRecorder()
		done, err := rt.Route(w, r, state)
		if err != nil || !done {
			t.Errorf("%s: done %t, %v; want a redirect", target, done, err)
			continue
		}
		if got := w.Header().Get("Location"); got != want || w.Code != http.StatusPermanentRedirect {
			t.Errorf("%s: got %d to %s, want 308 to %s", target, w.Code, got, want)
		}
	}
}

// errorCode returns the status of an error, 0 for nil, and -1 for other errors.
func errorCode(err error) int {
	if err == nil {
		return 0
	}
	if h, ok := err.(caddyhttp.HandlerError); ok { //nolint:errorlint // the outermost one counts
		return h.StatusCode
	}
	return -1
}
