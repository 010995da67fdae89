//go:build linux

package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Response is a response with its whole body.
type Response struct {
	*http.Response
	Text string
}

// NewClient returns a client that follows no redirects, decodes no gzip, and keeps no
// cookies.
func NewClient(tb testing.TB) *http.Client {
	tb.Helper()
	transport := &http.Transport{DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       MaxWait,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NewBrowserClient returns a client that follows redirects and keeps cookies.
func NewBrowserClient(tb testing.TB) *http.Client {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	c := NewClient(tb)
	c.CheckRedirect, c.Jar = nil, jar
	return c
}

// NewRequest returns a request with the context of the test.
func NewRequest(tb testing.TB, method, url string, body io.Reader) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	return req
}

// Do sends a request and reads the response.
func Do(tb testing.TB, c *http.Client, req *http.Request) *Response {
	tb.Helper()
	res, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	return readResponse(tb, req, res)
}

// readResponse reads the body of a response.
func readResponse(tb testing.TB, req *http.Request, res *http.Response) *Response {
	tb.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatalf("%s %s: reading the body: %v", req.Method, req.URL, err)
	}
	return &Response{res, string(body)}
}

// Request makes a request to the server; a header is "Name: value".
func (s *Server) Request(method, path string, body io.Reader, headers ...string) *http.Request {
	s.T.Helper()
	req := NewRequest(s.T, method, s.URL+path, body)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header[name] = append(req.Header[name], value)
		}
	}
	return req
}

// Do sends a request to the server and reads the response.
func (s *Server) Do(req *http.Request) *Response { s.T.Helper(); return Do(s.T, s.Client, req) }

// Get requests a path; a header is "Name: value".
func (s *Server) Get(path string, headers ...string) *Response {
	s.T.Helper()
	return s.Do(s.Request("GET", path, nil, headers...))
}

// Want checks the status of a response and, unless body is empty, its whole body.
func (r *Response) Want(tb testing.TB, status int, body string) {
	tb.Helper()
	if r.StatusCode != status {
		tb.Errorf("%s %s: got status %d, want %d (body %.300q)", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Text)
	} else if body != "" && r.Text != body {
		tb.Errorf("%s %s: got body %.300q, want %.300q", r.Request.Method, r.Request.URL, r.Text, body)
	}
}

// WantContains checks the status of a response, and that its body has these texts.
func (r *Response) WantContains(tb testing.TB, status int, texts ...string) {
	tb.Helper()
	r.Want(tb, status, "")
	for _, text := range texts {
		if !strings.Contains(r.Text, text) {
			tb.Errorf("%s %s: %q is not in the body: %.600q", r.Request.Method, r.Request.URL, text, r.Text)
		}
	}
}

// TempDir creates a directory for a test. Unlike t.TempDir's, its path is short enough
// for a socket in it, and every user may enter it.
func TempDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "php_pool-")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// CopyTree copies a directory so that PHP may read it.
func CopyTree(tb testing.TB, to, from string) {
	tb.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		tb.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink != 0 {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// ChownToPHP gives a tree to the user that PHP runs as.
func ChownToPHP(tb testing.TB, dir string) {
	tb.Helper()
	if os.Getuid() != 0 {
		return
	}
	u := PHPUser(tb)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	Chown(tb, dir, uid, gid)
}

// Chown gives a tree to a user and group.
func Chown(tb testing.TB, dir string, uid, gid int) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Symlink creates or replaces a symbolic link atomically.
func Symlink(tb testing.TB, target, name string) {
	tb.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		tb.Fatal(err)
	}
}

// WriteFile writes a file, and creates the directories that are missing.
func WriteFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// ReadFile returns the contents of a file.
func ReadFile(tb testing.TB, path string) string {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// ReplaceFile replaces a file atomically, as editors and package managers do.
func ReplaceFile(tb testing.TB, path, content string, mode os.FileMode) {
	tb.Helper()
	WriteFile(tb, path+".new", content)
	if err := os.Chmod(path+".new", mode); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

// Vars returns $_SERVER as server.php shows it.
func (s *Server) Vars(path string, headers ...string) map[string]string {
	s.T.Helper()
	return s.VarsOf(s.Request("GET", path, nil, headers...))
}

// VarsOf returns $_SERVER of any request for server.php.
func (s *Server) VarsOf(req *http.Request) map[string]string {
	s.T.Helper()
	res := s.Do(req)
	res.Want(s.T, 200, "")
	var vars map[string]any
	if err := json.Unmarshal([]byte(res.Text), &vars); err != nil {
		s.T.Fatalf("%s: %v in %.300q", req.URL, err, res.Text)
	}
	text := map[string]string{}
	for name, value := range vars {
		if v, ok := value.(string); ok {
			text[name] = v
		} else {
			v, _ := json.Marshal(value)
			text[name] = string(v)
		}
	}
	return text
}

// Dial opens a new connection to the server.
func Dial(tb testing.TB, s *Server) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		tb.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(MaxWait))
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// Endless is a reader without an end.
type Endless struct{}

func (Endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// GetFrom gets a page from a port whose listener may have just moved to another
// configuration.
func (s *Server) GetFrom(port int, path string) (body string) {
	s.T.Helper()
	Eventually(s.T, func() error {
		res, err := s.Client.Do(NewRequest(s.T, "GET", fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		body = string(text)
		if err == nil && res.StatusCode != 200 {
			s.T.Errorf("GET %s on port %d: got %s: %.300q", path, port, res.Status, text)
		}
		return err
	})
	return body
}

// WantMessage checks that an error is short and contains all texts; "a|b" means one
// of them. Caddy's prefix, which names the place in the configuration, is ignored.
func WantMessage(tb testing.TB, err error, says []string) {
	tb.Helper()
	message := err.Error()
	for _, place := range []string{"'php_pool': ", "http.handlers.php_pool: ", "php_pool app module: "} {
		if _, own, ok := strings.Cut(message, place); ok {
			message = own
		}
	}
	for _, choice := range says {
		if !ContainsAny(message, strings.Split(choice, "|")) {
			tb.Errorf("%q is not in %q", choice, message)
		}
	}
	if lines := strings.Count(message, "\n"); lines > 3 || len(message) > 1000 {
		tb.Errorf("the message is too long: %q", message)
	}
}

// ContainsAny reports whether a text contains one of the parts, in any case.
func ContainsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			return true
		}
	}
	return false
}
