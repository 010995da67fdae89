package cgi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"

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

// routeDefault must find the same file as Caddy's matcher with the patterns of
// php_fastcgi.
func TestRoute_DefaultMatchesCaddy(t *testing.T) {
	root := testfiles.Write(t, "index.php", "page.php", "style.css", "dir/index.php", "dir/other.php",
		"empty/note.txt", "odd.php/index.php", "with space/index.php")
	site := testSite(t)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	rt, err := NewRouter(ctx, site, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"/", "/index.php", "/page.php", "/page.php/info", "/page.php/info/", "/style.css", "/dir", "/dir/",
		"/dir/other.php", "/dir/other.php/x", "/missing", "/missing/", "/missing.php", "/missing.php/x",
		"/empty", "/empty/", "/empty/note.txt", "/empty/note.txt/", "/index.php/", "//dir//other.php",
		"/dir/../page.php", "/dir/./", "/page.phpx", "/PAGE.PHP", "/style.css/x.php", "/odd.php",
		"/with%20space/", "/with%20space", "/%2e%2e/page.php", "/page.php%2Fx", "/a*b", "/[dir]/",
	} {
		r, state := request(target, root)
		w := httptest.NewRecorder()
		done, err := rt.Route(w, r, state)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		wantRedirect, wantPath, wantInfo := caddyRoute(t, ctx, target, root)
		if done != wantRedirect {
			t.Errorf("%s: redirect: got %t, want %t", target, done, wantRedirect)
		}
		if done || wantRedirect {
			continue
		}
		info, _ := state.Repl.GetString("http.matchers.file.remainder")
		if r.URL.Path != wantPath || info != wantInfo {
			t.Errorf("%s: got %q with info %q, want %q with %q", target, r.URL.Path, info, wantPath, wantInfo)
		}
	}
}

// caddyRoute routes a request as the expansion of php_fastcgi does.
func caddyRoute(t *testing.T, ctx caddy.Context, target, root string) (redirect bool, path, info string) {
	t.Helper()
	match := func(m *fileserver.MatchFile) (bool, *caddy.Replacer) {
		r, state := request(target, root)
		m.Root = root
		if err := m.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		ok, err := m.MatchWithError(r)
		if err != nil {
			t.Fatal(err)
		}
		return ok, state.Repl
	}
	r, _ := request(target, root)
	slash, _ := caddyhttp.MatchPath{"*/"}.MatchWithError(r)
	isDir, _ := match(&fileserver.MatchFile{TryFiles: []string{"{http.request.uri.path}/index.php"}})
	if isDir && !slash {
		return true, "", ""
	}
	ok, repl := match(&fileserver.MatchFile{
		TryFiles:  []string{"{http.request.uri.path}", "{http.request.uri.path}/index.php", "index.php"},
		TryPolicy: "first_exist_fallback", SplitPath: []string{".php"},
	})
	if !ok {
		t.Fatalf("%s: Caddy's matcher found nothing", target)
	}
	path, _ = repl.GetString("http.matchers.file.relative")
	info, _ = repl.GetString("http.matchers.file.remainder")
	return false, path, info
}

func TestRoute_RedirectStaysOnSite(t *testing.T) {
	root := testfiles.Write(t, "index.php", "sub/index.php")
	rt := &Router{site: testSite(t), index: "index.php", redirects: true}
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

func TestFindScript_OnlyBelowRoot(t *testing.T) {
	root := testfiles.Write(t, "index.php", "img.jpg", "dir.php/x", "up.phar", "a.php.bak", "b.phps")
	site := testSite(t)
	for target, want := range map[string]int{
		"/index.php":              0,
		"/index.php/info":         0,
		"/img.jpg/x.php":          http.StatusNotFound,   // cgi.fix_pathinfo would run img.jpg
		"/img.jpg%00.php":         http.StatusBadRequest, // PHP cuts at NUL
		"/dir.php":                http.StatusNotFound,
		"/missing.php":            http.StatusNotFound,
		"/up.phar":                http.StatusNotFound,
		"/a.php.bak":              http.StatusNotFound, // split to a.php, which does not exist
		"/b.phps":                 http.StatusNotFound,
		"/../../etc/passwd.php":   http.StatusNotFound,
		"/INDEX.PHP":              http.StatusNotFound, // on a case-sensitive file system
		"/":                       http.StatusNotFound,
		"/index.php%2f..%2fx.php": http.StatusBadRequest,
	} {
		r, state := request(target, root)
		s, err := site.FindScript(r, state)
		if got := errorCode(err); got != want {
			t.Errorf("%s: got %d (%v, %+v), want %d", target, got, err, s, want)
		}
	}
}

func TestFindScript_ConfineSymlinks(t *testing.T) {
	root := testfiles.Write(t, "site/index.php", "site/sub/x.php", "site/uploads/img.jpg", "site2/x.php", "other/x.php")
	dir := filepath.Join(root, "site")
	for link, target := range map[string]string{
		"in.php": "sub/x.php", "out.php": "../other/x.php", "beside.php": "../site2/x.php",
		"upload.php": "uploads/img.jpg", "absolute.php": filepath.Join(root, "other/x.php"),
		"dir": "../other", "lost.php": "nowhere.php",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	current := filepath.Join(root, "current") // a deployment by symlink
	if err := os.Symlink("site", current); err != nil {
		t.Fatal(err)
	}
	for _, confined := range []bool{false, true} {
		for _, from := range []string{dir, current} {
			for _, resolved := range []bool{false, true} {
				site := testSite(t)
				site.ConfineSymlinks, site.ResolveRootSymlink = confined, resolved
				for target, inside := range map[string]bool{
					"/index.php": true, "/sub/x.php": true, "/in.php": true, "/in.php/info": true,
					"/out.php": false, "/beside.php": false, "/upload.php": false, "/absolute.php": false, "/dir/x.php": false,
				} {
					for _, routed := range []bool{false, true} {
						r, state := request(target, from)
						if rt := (&Router{site: site, index: "index.php"}); routed {
							if _, err := rt.Route(httptest.NewRecorder(), r, state); err != nil {
								t.Fatal(err)
							}
						}
						_, err := site.FindScript(r, state)
						if got, want := errorCode(err) == 0, inside || !confined; got != want {
							t.Errorf("%s below %s, confined %t, routed %t: run %t (%v), want %t", target, from, confined, routed, got, err, want)
						}
					}
				}
				r, state := request("/lost.php", from)
				if _, err := site.FindScript(r, state); errorCode(err) != http.StatusNotFound {
					t.Errorf("/lost.php: got %v, want 404", err)
				}
			}
		}
	}
}

// TestFindScript_RootBecomesSymlink does the same as the first deployment by symlink:
// it renames the root and replaces it by a symlink.
func TestFindScript_RootBecomesSymlink(t *testing.T) {
	dir := testfiles.Write(t, "site/index.php", "v2/index.php")
	root := filepath.Join(dir, "site")
	site := testSite(t)
	site.ConfineSymlinks = true
	runs := func(when string) {
		t.Helper()
		r, state := request("/index.php", root)
		if _, err := site.FindScript(r, state); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	runs("before")
	if err := errors.Join(os.Rename(root, filepath.Join(dir, "v1")), os.Symlink("v1", root)); err != nil {
		t.Fatal(err)
	}
	runs("after it became a symlink to the renamed directory")
	if err := errors.Join(os.Remove(root), os.Symlink("v2", root)); err != nil {
		t.Fatal(err)
	}
	runs("after the symlink has moved")
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
