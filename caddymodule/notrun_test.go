package caddymodule

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/mevdschee/caddy-php-pool/caddymodule/live/livetest"
	"github.com/mevdschee/caddy-php-pool/fastcgi/fastcgitest"
	"github.com/mevdschee/caddy-php-pool/internal/testfiles"
	"github.com/mevdschee/caddy-php-pool/phpbin"
)

// What php-cgi sends for a script that it cannot open, with and without OPcache.
const (
	notFoundByPHP = "Status: 404 Not Found\r\nContent-type: text/html\r\n\r\n" + phpbin.NoInputFile
	errorOfPHP    = "Status: 500 Internal Server Error\r\nContent-type: text/html\r\n\r\n"
)

// changingSite is a site whose files change while PHP begins to run the first script.
type changingSite struct {
	root    string
	handler *Handler
	runs    atomic.Int32
}

// newChangingSite returns a site where change runs before PHP opens the first script.
// notOpened is PHP's response if that is not a file then; one that is responds with
// its name and the body.
func newChangingSite(t *testing.T, change func(root string) error, notOpened func(script string) fastcgitest.Response) *changingSite {
	t.Helper()
	s := &changingSite{root: testfiles.Write(t, "index.php", "a.php", "dir/b.php", "dir/style.css", "indexed/index.php")}
	s.handler = fakeSite(t, s.root, 1, livetest.Serve(func(r *fastcgitest.Request) fastcgitest.Response {
		script := r.Params["SCRIPT_FILENAME"]
		if s.runs.Add(1) == 1 {
			if err := change(s.root); err != nil {
				t.Error(err)
			}
		}
		if info, err := os.Stat(script); err != nil || !info.Mode().IsRegular() {
			return notOpened(script)
		}
		return fastcgitest.OK(fmt.Sprintf("%s ran, body %q", filepath.Base(script), r.Body))
	}))
	return s
}

func noInputFile(string) fastcgitest.Response { return fastcgitest.Reply(notFoundByPHP) }

func failedOpening(script string) fastcgitest.Response {
	return fastcgitest.Response{
		fastcgitest.Stderr("PHP Warning:  Unknown: Failed to open stream: No such file or directory in Unknown on line 0\n" +
			"PHP Fatal error:  Failed opening required '" + script + "' (include_path='.:/usr/share/php') in Unknown on line 0\n"),
		fastcgitest.Stdout(errorOfPHP), fastcgitest.End(),
	}
}

func emptyError(string) fastcgitest.Response { return fastcgitest.Reply(errorOfPHP) }

func (s *changingSite) serve(r *http.Request, next caddyhttp.HandlerFunc) (*httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	err := s.handler.ServeHTTP(w, prepareRequest(r, new(caddyhttp.Server)), next)
	return w, err
}

// TestNotRun_RoutedAgain removes or replaces a script after its request was routed. The
// request must be served by the files that exist then, with its body.
func TestNotRun_RoutedAgain(t *testing.T) {
	in := filepath.Join
	remove := func(root string) error { return os.Remove(in(root, "a.php")) }
	responses := map[string]func(string) fastcgitest.Response{"404": noInputFile, "OPcache": failedOpening, "silent": emptyError}
	for name, c := range map[string]struct {
		path   string
		change func(root string) error
		status int
		body   string // with BODY for the request's
	}{
		"removed":          {"/a.php", remove, 200, "index.php ran, body BODY"},
		"with PATH_INFO":   {"/a.php/info", remove, 200, "index.php ran, body BODY"},
		"site is gone too": {"/a.php", os.RemoveAll, 404, ""},
		"became a directory": {"/a.php", func(root string) error {
			if err := remove(root); err != nil {
				return err
			}
			return os.Mkdir(in(root, "a.php"), 0o755)
		}, 200, "index.php ran, body BODY"},
		"became a directory with an index": {"/a.php", func(root string) error {
			if err := remove(root); err != nil {
				return err
			}
			return os.Rename(in(root, "indexed"), in(root, "a.php"))
		}, 308, ""},
		"directory moved": {"/dir/b.php", func(root string) error {
			return os.Rename(in(root, "dir"), in(root, "dir2"))
		}, 200, "index.php ran, body BODY"},
	} {
		for _, method := range []string{"GET", "POST"} {
			for how, notOpened := range responses {
				if how == "silent" && method == "POST" {
					continue // the script may have run
				}
				s := newChangingSite(t, c.change, notOpened)
				body, sent := io.Reader(nil), ""
				if method == "POST" {
					sent = strings.Repeat("x", 200_000) // more than request_buffers
					body = strings.NewReader(sent)
				}
				w, err := s.serve(httptest.NewRequest(method, "http://example.com"+c.path, body), nil)
				status := statusOf(err)
				if err == nil {
					status = w.Code
				}
				if want := strings.ReplaceAll(c.body, "BODY", fmt.Sprintf("%q", sent)); status != c.status || w.Body.String() != want {
					t.Errorf("%s, %s, %s: got %d, %.100q, %v; want %d, %.100q", name, method, how, status, w.Body, err, c.status, want)
				}
			}
		}
	}
}

// TestNotRun_SameFileAgain: PHP did not find a script that was away for a moment only.
func TestNotRun_SameFileAgain(t *testing.T) {
	var s *changingSite
	s = newChangingSite(t, func(root string) error { return os.Rename(filepath.Join(root, "dir"), filepath.Join(root, "away")) },
		func(string) fastcgitest.Response {
			if err := os.Rename(filepath.Join(s.root, "away"), filepath.Join(s.root, "dir")); err != nil {
				t.Error(err)
			}
			return fastcgitest.Reply(notFoundByPHP)
		})
	w, err := s.serve(httptest.NewRequest("POST", "http://example.com/dir/b.php", strings.NewReader("x")), nil)
	if err != nil || w.Body.String() != `b.php ran, body "x"` {
		t.Errorf("got %q, %v", w.Body, err)
	}
}

// TestNotRun_ErrorRoute: an error page that PHP renders keeps the body too.
func TestNotRun_ErrorRoute(t *testing.T) {
	s := newChangingSite(t, func(root string) error { return os.Remove(filepath.Join(root, "a.php")) }, noInputFile)
	r := prepareRequest(httptest.NewRequest("POST", "http://example.com/a.php", strings.NewReader("x")), new(caddyhttp.Server))
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.ErrorCtxKey, caddyhttp.Error(http.StatusNotFound, nil)))
	w := httptest.NewRecorder()
	if err := s.handler.ServeHTTP(w, r, nil); err != nil || w.Body.String() != `index.php ran, body "x"` {
		t.Errorf("got %q, %v", w.Body, err)
	}
}

// TestNotRun_OwnResponse: responses of scripts that look as if nothing had run are
// passed on, and the script runs once.
func TestNotRun_OwnResponse(t *testing.T) {
	for _, c := range []struct {
		method string
		output string
		change bool // the script is removed while it runs
		status int
	}{
		{"GET", notFoundByPHP, false, 404},
		{"POST", notFoundByPHP, false, 404},
		{"HEAD", "Status: 404 Not Found\r\n\r\n", false, 404},
		{"GET", errorOfPHP, false, 500},
		{"POST", errorOfPHP, true, 500}, // it may have run
		{"GET", errorOfPHP + "oops", true, 500},
		{"POST", "Status: 404 Not Found\r\n\r\nNo such page", true, 404},
	} {
		var runs atomic.Int32
		root := testfiles.Write(t, "index.php", "a.php")
		h := fakeSite(t, root, 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
			runs.Add(1)
			if c.change {
				os.Remove(filepath.Join(root, "a.php"))
			}
			return fastcgitest.Reply(c.output)
		}))
		r := prepareRequest(httptest.NewRequest(c.method, "http://example.com/a.php", nil), new(caddyhttp.Server))
		if !c.change {
			caddyhttp.SetVar(r.Context(), "start_time", time.Now().Add(time.Hour)) // all files are older
		}
		w := httptest.NewRecorder()
		err := h.ServeHTTP(w, r, nil)
		if _, want, _ := strings.Cut(c.output, "\r\n\r\n"); err != nil || w.Code != c.status || w.Body.String() != want {
			t.Errorf("%s %q: got %d, %q, %v", c.method, c.output, w.Code, w.Body, err)
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("%s %q: ran %d times, want once", c.method, c.output, n)
		}
	}
}

// TestNotRun_Limit: files that change all the time do not keep a request forever.
func TestNotRun_Limit(t *testing.T) {
	var runs atomic.Int32
	root := testfiles.Write(t, "index.php")
	h := fakeSite(t, root, 1, livetest.Serve(func(*fastcgitest.Request) fastcgitest.Response {
		runs.Add(1)
		if err := os.WriteFile(filepath.Join(root, "index.php"), nil, 0o644); err != nil {
			t.Error(err)
		}
		return fastcgitest.Reply(notFoundByPHP)
	}))
	for name, serve := range serveFuncs {
		runs.Store(0)
		r := prepareRequest(httptest.NewRequest("POST", "http://example.com/index.php", strings.NewReader("x")), new(caddyhttp.Server))
		if err := serve(h, r); statusOf(err) != http.StatusNotFound {
			t.Errorf("%s: got %v, want 404", name, err)
		}
		if n := runs.Load(); n != maxRoutes {
			t.Errorf("%s: got %d runs, want %d", name, n, maxRoutes)
		}
	}
}

// TestNotRun_Transport: a transport has no router. It looks at the script again.
func TestNotRun_Transport(t *testing.T) {
	s := newChangingSite(t, func(root string) error { return os.Remove(filepath.Join(root, "a.php")) }, noInputFile)
	r := prepareRequest(httptest.NewRequest("POST", "http://example.com/a.php", strings.NewReader("x")), new(caddyhttp.Server))
	if err := serveFuncs["transport"](s.handler, r); statusOf(err) != http.StatusNotFound {
		t.Errorf("got %v, want Caddy's 404", err)
	}
}

// TestNotRun_StaticFile: a file that is removed before the next handler has opened it
// is looked for again.
func TestNotRun_StaticFile(t *testing.T) {
	s := newChangingSite(t, func(string) error { return nil }, noInputFile)
	calls := 0
	next := func(http.ResponseWriter, *http.Request) error {
		calls++
		if err := os.Remove(filepath.Join(s.root, "dir/style.css")); err != nil {
			t.Error(err)
		}
		return caddyhttp.Error(http.StatusNotFound, nil)
	}
	w, err := s.serve(httptest.NewRequest("POST", "http://example.com/dir/style.css", strings.NewReader("x")), next)
	if err != nil || w.Body.String() != `index.php ran, body "x"` || calls != 1 {
		t.Errorf("got %q, %v, %d calls of the next handler", w.Body, err, calls)
	}
}
