package devpage

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// testOptions returns options for the clients of this machine.
func testOptions(t *testing.T) *Options {
	t.Helper()
	o := &Options{}
	o.setUp(zap.NewNop())
	t.Cleanup(o.Cleanup)
	return o
}

// browse serves a request of a browser for a document by a handler.
func browse(t *testing.T, o *Options, root string, change func(*http.Request), serve func(w http.ResponseWriter, log io.Writer) error) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/page?x=1", nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	if change != nil {
		change(r)
	}
	r = r.WithContext(caddyhttpContext(r))
	rec := httptest.NewRecorder()
	resp := o.Begin(rec, r, root, func() int { return 1 })
	if err := resp.End(serve(resp, resp.LogWriter())); err != nil {
		t.Errorf("the error is left: %v", err)
	}
	return rec
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func page(kind string, status int, body string, headers ...string) func(http.ResponseWriter, io.Writer) error {
	return func(w http.ResponseWriter, _ io.Writer) error {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Header().Set("Etag", `"1"`)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		if body == "" {
			return nil
		}
		_, err := io.WriteString(w, body)
		return err
	}
}

// A page for a window of the browser gets the script at its end. Everything else arrives
// as the application has sent it.
func TestResponse_Script(t *testing.T) {
	o, dir := testOptions(t), t.TempDir()
	const body = "<p>page</p>"
	fetch := func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "empty") }
	for name, c := range map[string]struct {
		change func(*http.Request)
		serve  func(http.ResponseWriter, io.Writer) error
		want   bool
	}{
		"page":         {nil, page("text/html; charset=utf-8", 200, body), true},
		"not found":    {nil, page("text/html", 404, body), true},
		"error":        {nil, page("text/html", 500, body), true},
		"document":     {func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "document") }, page("TEXT/HTML", 200, body), true},
		"iframe":       {func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "iframe") }, page("text/html", 200, body), false},
		"fetch":        {fetch, page("text/html", 200, body), false},
		"ajax":         {func(r *http.Request) { r.Header.Set("X-Requested-With", "XMLHttpRequest") }, page("text/html", 200, body), false},
		"curl":         {func(r *http.Request) { r.Header.Del("Accept") }, page("text/html", 200, body), false},
		"HEAD":         {func(r *http.Request) { r.Method = http.MethodHead }, page("text/html", 200, ""), false},
		"JSON":         {nil, page("application/json", 200, `{"a":1}`), false},
		"PDF":          {nil, page("application/pdf", 200, "%PDF-1.7"), false},
		"compressed":   {nil, page("text/html", 200, "\x1f\x8b", "Content-Encoding", "gzip"), false},
		"not modified": {nil, page("text/html", 304, ""), false},
		"no content":   {nil, page("text/html", 204, ""), false},
		"part":         {nil, page("text/html", 206, body, "Content-Range", "bytes 0-10/99"), false},
		"JSON error":   {nil, page("application/json", 503, `{"a":1}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			plain := httptest.NewRecorder()
			if err := c.serve(plain, io.Discard); err != nil {
				t.Fatal(err)
			}
			got := browse(t, o, dir, c.change, c.serve)
			if !strings.HasPrefix(got.Body.String(), plain.Body.String()) || got.Code != plain.Code {
				t.Fatalf("got %d %q", got.Code, got.Body)
			}
			added := strings.TrimPrefix(got.Body.String(), plain.Body.String())
			if !c.want {
				if added != "" || fmt.Sprint(got.Header()) != fmt.Sprint(plain.Header()) {
					t.Errorf("added %q, header %v", added, got.Header())
				}
				return
			}
			want := regexp.MustCompile(`^\n<script src="/\.well-known/php_pool/dev\.js" defer data-version="[A-Z0-9]+-\d+"></script>\n$`)
			if !want.MatchString(added) || got.Header().Get("Etag")+got.Header().Get("Content-Length") != "" || got.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("added %q, header %v", added, got.Header())
			}
		})
	}
}

// What PHP logs for a page is in an attribute of the script, whatever it contains. The page
// of a form is not loaded again, because that would send the form again.
func TestResponse_Messages(t *testing.T) {
	o := testOptions(t)
	got := browse(t, o, t.TempDir(), func(r *http.Request) { r.Method = http.MethodPost }, func(w http.ResponseWriter, log io.Writer) error {
		fmt.Fprint(log, "PHP Warning:  Undefined variable $a in /x.php on line 3\nPHP Warning:  Undefined variable $a in /x.php on line 3\n")
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "script-src 'nonce-abc+/=' 'strict-dynamic'")
		_, _ = io.WriteString(w, "<p>")
		fmt.Fprint(log, "\"'></script><script>alert(1)</script>\n")
		return nil
	}).Body.String()
	m := regexp.MustCompile(`^<p>\n<script src="[^"]*" defer nonce="abc\+/=" data-messages="([^"]*)"></script>\n$`).FindStringSubmatch(got)
	if m == nil {
		t.Fatalf("got %q", got)
	}
	var list []message
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Times != 2 || list[0].Level != "Warning" || list[1].Text != `"'></script><script>alert(1)</script>` {
		t.Errorf("got %+v", list)
	}
	if strings.Contains(got, "alert(1)</script>") {
		t.Errorf("the message is markup: %q", got)
	}
}

// A page replaces an error without a text. It shows the source around it, and markup in
// messages as text.
func TestResponse_ErrorPage(t *testing.T) {
	o, dir := testOptions(t), t.TempDir()
	script := filepath.Join(dir, "page.php")
	writeFile(t, script, "<?php\n\n\nthrow new Exception('<b>x</b>');\n")
	fatal := fmt.Sprintf("PHP Warning:  A in /other.php on line 7\nPHP Fatal error:  Uncaught Exception: <b>x</b> in %[1]s:4\nStack trace:\n#0 {main}\n"+
		"  thrown in %[1]s on line 4\n", script)
	blank := func(w http.ResponseWriter, log io.Writer) error {
		fmt.Fprint(log, fatal)
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(500)
		return http.NewResponseController(w).Flush()
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		serve  func(http.ResponseWriter, io.Writer) error
		status int
		want   []string
		not    string
	}{
		"exception": {nil, blank, 500, []string{
			"<h1>500 Internal Server Error</h1>", "GET /page?x=1", "Uncaught Exception: &lt;b&gt;x", "#0 {main}", script + ":4",
			`<tr class="wrong"><td>4</td><td>throw new Exception(&#39;&lt;b&gt;x&lt;/b&gt;&#39;);`, "<b>Warning:</b> A in /other.php", `dev.js" defer nonce="`,
		}, "<b>x</b>"},
		"after output": {nil, func(w http.ResponseWriter, log io.Writer) error {
			fmt.Fprint(log, fatal)
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(500)
			_, err := io.WriteString(w, "<p>half")
			return err
		}, 500, []string{"<h1>500", "Uncaught Exception"}, "half"},
		"caught": {nil, func(w http.ResponseWriter, log io.Writer) error {
			fmt.Fprint(log, "PHP Warning:  A in /other.php on line 7\n")
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(500)
			for range 3 {
				if _, err := io.WriteString(w, "<p>ours"+strings.Repeat(" ", maxHeld/2)); err != nil {
					return err
				}
			}
			return nil
		}, 500, []string{"<p>ours"}, "<h1>"},
		"fetch": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Dest", "empty") }, blank, 500, []string{"<h1>500"}, "dev.js"},
		"JSON": {func(r *http.Request) { r.Header.Set("Accept", "application/json") }, blank, 500, []string{
			`{"error":"500 Internal Server Error","messages":["Warning: A in /other.php on line 7","Fatal error: Uncaught Exception`,
		}, "<h1>"},
		"curl": {func(r *http.Request) { r.Header.Set("Accept", "*/*") }, blank, 500, []string{"500 Internal Server Error\n\nWarning: A in"}, "<h1>"},
		"nothing logged": {nil, func(w http.ResponseWriter, _ io.Writer) error { w.WriteHeader(500); return nil }, 500, []string{
			"has printed nothing", "write `ini log_errors 1`",
		}, "<table>"},
		"ours": {nil, func(http.ResponseWriter, io.Writer) error {
			return caddyhttp.Error(502, errors.New("worker exited during the request"))
		}, 502, []string{"<h1>502 Bad Gateway", `<pre class="cause">worker exited during the request</pre>`, "caddy php-pool status"}, "{id="},
		"HEAD": {func(r *http.Request) { r.Method = http.MethodHead }, blank, 500, nil, "<h1>"},
	} {
		t.Run(name, func(t *testing.T) {
			got := browse(t, o, dir, c.change, c.serve)
			text := got.Body.String()
			if got.Code != c.status || c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("got %d, %q in it: %v", got.Code, c.not, strings.Contains(text, c.not))
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			}
		})
	}
}

// Errors that Caddy handles otherwise, such as one that a file is missing, stay.
func TestResponse_OtherErrors(t *testing.T) {
	o := testOptions(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
	resp := o.Begin(httptest.NewRecorder(), r, t.TempDir(), func() int { return 1 })
	want := caddyhttp.Error(404, nil)
	if err := resp.End(want); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

func TestParseMessages(t *testing.T) {
	const text = "PHP Notice:  A in C:\\www\\a.php on line 2\r\n" +
		"a log line\n\nanother\na log line\n" +
		"PHP Parse error:  syntax error, unexpected end of file in /srv/b c.php on line 10\n" +
		"PHP Recoverable fatal error:  odd\n" +
		"PHP Fatal error:  Uncaught Error: x in phar:///a.phar/x.php:3\nStack trace:\n#0 /srv/c.php(2): f()\n\nNext Error: y in /srv/d.php:4\n" +
		"Stack trace:\n#0 {main}\n  thrown in /srv/d.php on line 4\nPHP Stack trace:\nPHP   1. {main}() /srv/c.php:0\n"
	got := parseMessages(text)
	want := []string{
		"Notice C:\\www\\a.php:2 ×1", " :0 ×2", " :0 ×1", "Parse error /srv/b c.php:10 ×1", "Recoverable fatal error :0 ×1", "Fatal error /srv/d.php:4 ×1",
	}
	for i, m := range got {
		if text := fmt.Sprintf("%s %s:%d ×%d", m.Level, m.File, m.Line, m.Times); i >= len(want) || text != want[i] {
			t.Errorf("message %d: got %q: %q", i, text, m.Text)
		}
	}
	if len(got) != len(want) || cause(got) != 5 || cause(got[:1]) != 0 || cause(nil) != -1 {
		t.Errorf("got %d messages, cause %d", len(got), cause(got))
	}
	if !strings.Contains(got[len(got)-1].Text, "PHP   1. {main}()") {
		t.Errorf("got %q", got[len(got)-1].Text)
	}
}

// A script can log the name of any file, and Caddy may be allowed to read it.
func TestReadSource_OnlyTheApplication(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(dir, "src", "a.php"), "1\n2\n3\n"+strings.Repeat("x", 1000)+"\n")
	writeFile(t, filepath.Join(dir, ".env"), "SECRET=1\n")
	writeFile(t, filepath.Join(other, "secret.php"), "secret\n")
	if err := os.Symlink(filepath.Join(other, "secret.php"), filepath.Join(dir, "link.php")); err != nil {
		t.Skip(err) // Windows without the privilege
	}
	if err := os.Symlink(dir, filepath.Join(other, "current")); err != nil {
		t.Fatal(err)
	}
	lines := readSource(filepath.Join(other, "current"), filepath.Join(resolved(t, dir), "src", "a.php"), 3)
	if len(lines) != 4 || !lines[2].Wrong || lines[2].Text != "3" || len(lines[3].Text) > maxLineLength+4 {
		t.Errorf("got %+v", lines)
	}
	for _, file := range []string{
		filepath.Join(dir, ".env"), filepath.Join(dir, "link.php"), filepath.Join(other, "secret.php"), "/etc/passwd",
		filepath.Join(dir, "..", filepath.Base(other), "secret.php"), filepath.Join(dir, "src", "b.php"), dir, "a.php", "",
	} {
		if lines := readSource(dir, file, 1); lines != nil {
			t.Errorf("%s: got %+v", file, lines)
		}
	}
	for _, line := range []int{0, -1, 5, 1 << 40} {
		if lines := readSource(dir, filepath.Join(resolved(t, dir), "src", "a.php"), line); lines != nil {
			t.Errorf("line %d: got %+v", line, lines)
		}
	}
}

func resolved(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestIsLocalName(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "shop.localhost": true, "Shop.Test.": true, "127.0.0.1:80": true, "[::1]:80": true, "::1": true,
		"192.168.1.5": true, "laptop": true, "shop.home.arpa": true, "db.internal": true,
		"example.com": false, "shop.example.com:443": false, "localhost.evil.com": false, "evil.com.": false, "": false, "xlocalhost.com": false,
		"127.0.0.1.nip.io": false,
	} {
		if got := IsLocalName(host); got != want {
			t.Errorf("%q: got %v", host, got)
		}
	}
	o := &Options{}
	if err := o.CheckHost("shop.example.com"); err == nil || !strings.Contains(err.Error(), "shop.example.com is a public name: remove dev") {
		t.Errorf("got %v", err)
	}
	o.Force = true
	if err := o.CheckHost("shop.example.com"); err != nil {
		t.Error(err)
	}
}

func TestHelps(t *testing.T) {
	o := testOptions(t)
	for name, c := range map[string]struct {
		host, remote, forwarded string
		want                    bool
	}{
		"local":               {"localhost:8080", "127.0.0.1:5", "", true},
		"IPv6":                {"[::1]:8080", "[::1]:5", "", true},
		"other machine":       {"localhost", "192.0.2.1:5", "", false},
		"behind a proxy":      {"localhost", "127.0.0.1:5", "192.0.2.1", false},
		"rebinding of a name": {"evil.example.com", "127.0.0.1:5", "", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.host+"/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := o.Helps(r.WithContext(caddyhttpContext(r))); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
