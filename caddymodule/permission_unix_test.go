//go:build unix

package caddymodule

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/caddymodule/poolcfg"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// TestPermissionError_UnreadableScript checks that a script is answered 403 only if a
// permission is missing. A request for one that has just been deleted is served by the
// index.
func TestPermissionError_UnreadableScript(t *testing.T) {
	root := testfiles.Write(t, "there.php", "hidden.php", "gone.php", "index.php")
	path := func(script string) string { return filepath.Join(root, script) }
	for dir, mode := range map[string]os.FileMode{filepath.Dir(root): 0o755, path("hidden.php"): 0o600} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	h := fakeSiteOf(t, root, livetest.NewPool(t, 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		if info, err := os.Stat(r.Params["SCRIPT_FILENAME"]); err != nil || info.Mode().Perm() != 0o644 {
			return fastcgitest.Reply("Status: 404 Not Found\r\n\r\n" + phpbin.NoInputFile)
		}
		return fastcgitest.OK("there")
	}), &poolcfg.Plan{User: &poolcfg.UnixUser{Name: "nobody", Credential: phpbin.Credential{UID: 65534, GID: 65534}}}))
	for _, c := range []struct {
		script string
		gone   bool
		status int // of the response or the error
		body   string
	}{
		{"there.php", false, 200, "there"},
		{"hidden.php", false, 403, ""},
		{"gone.php", false, 200, "there"},
		{"gone.php", true, 200, "there"},
	} {
		if c.gone {
			if err := os.Remove(path(c.script)); err != nil {
				t.Fatal(err)
			}
		}
		w := httptest.NewRecorder()
		err := h.ServeHTTP(w, prepareRequest(httptest.NewRequest(http.MethodGet, "http://example.com/"+c.script, nil), new(caddyhttp.Server)), nil)
		status := statusOf(err)
		if err == nil {
			status = w.Code
		}
		if body, _ := io.ReadAll(w.Body); status != c.status || string(body) != c.body {
			t.Errorf("%s: got %d, %q, %v; want %d, %q", c.script, status, body, err, c.status, c.body)
		}
	}
}
