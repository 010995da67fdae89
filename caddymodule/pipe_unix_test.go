//go:build unix

package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAPipeIsNoScript: PHP would wait for somebody to write to it.
func TestAPipeIsNoScript(t *testing.T) {
	root := layOut(t, "index.php")
	if err := unix.Mkfifo(filepath.Join(root, "pipe.php"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := &Handler{Backend: *backend(t)}
	h.router = &router{backend: &h.Backend, index: "index.php"}
	r, v := request("/pipe.php", root)
	if done, err := h.router.route(httptest.NewRecorder(), r, v); done || err != nil {
		t.Fatal(done, err)
	}
	if _, err := h.findScript(r, v); statusOf(err) != http.StatusNotFound {
		t.Errorf("got %v, want 404", err)
	}
}
