package cgi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

func TestFindScript_OnlyBelowRoot(t *testing.T) {
	root := testfiles.Write(t, "index.php", "img.jpg", "dir.php/x", "dir.php/y.php", "class.phpmailer.php", "index.php.d/z.php", "up.phar", "a.php.bak", "b.phps")
	site := testSite(t)
	for target, want := range map[string]int{
		"/index.php":              0,
		"/index.php/info":         0,
		"/img.jpg/x.php":          http.StatusNotFound,   // cgi.fix_pathinfo would run img.jpg
		"/img.jpg%00.php":         http.StatusBadRequest, // PHP cuts at NUL
		"/dir.php":                http.StatusNotFound,
		"/dir.php/x.php":          http.StatusNotFound,
		"/dir.php/y.php":          0,
		"/dir.php/y.php/info":     0,
		"/class.phpmailer.php":    0,
		"/index.php.d/z.php":      0,
		"/index.php.d/no.php":     http.StatusNotFound, // php_fastcgi would run index.php
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
						if routed {
							if _, err := testRouter(t, site).Route(httptest.NewRecorder(), r, state); err != nil {
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
