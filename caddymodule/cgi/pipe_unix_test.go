//go:build unix

package cgi

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
)

// PHP would wait until another process writes to the pipe.
func TestFindScript_NamedPipe(t *testing.T) {
	root := testfiles.Write(t, "index.php")
	if err := unix.Mkfifo(filepath.Join(root, "pipe.php"), 0o644); err != nil {
		t.Fatal(err)
	}
	site := testSite(t)
	router := &Router{site: site, index: "index.php"}
	r, state := request("/pipe.php", root)
	if done, err := router.Route(httptest.NewRecorder(), r, state); done || err != nil {
		t.Fatal(done, err)
	}
	if _, err := site.FindScript(r, state); errorCode(err) != http.StatusNotFound {
		t.Errorf("got %v, want 404", err)
	}
}
