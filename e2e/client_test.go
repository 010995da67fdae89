//go:build linux

package e2e

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

// response is an answer that was read to its end.
type response struct {
	*http.Response
	body string
}

// newClient follows no redirect, decodes no gzip, and has no cookies.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       maxWait,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newBrowser follows redirects and keeps cookies.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t)
	c.CheckRedirect, c.Jar = nil, jar
	return c
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// do sends a request and reads the answer.
func do(t *testing.T, c *http.Client, req *http.Request) *response {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the body: %v", req.Method, req.URL, err)
	}
	return &response{res, string(body)}
}

// request makes a request to the server; a header is "Name: value".
func (s *server) request(method, path string, body io.Reader, headers ...string) *http.Request {
	s.t.Helper()
	req := newRequest(s.t, method, s.url+path, body)
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

func (s *server) do(req *http.Request) *response { s.t.Helper(); return do(s.t, s.client, req) }

func (s *server) get(path string, headers ...string) *response {
	s.t.Helper()
	return s.do(s.request("GET", path, nil, headers...))
}

// want checks an answer's status and, unless it is empty, its whole body.
func (r *response) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s %s: got status %d, want %d (body %.300q)", r.Request.Method, r.Request.URL, r.StatusCode, status, r.body)
	} else if body != "" && r.body != body {
		t.Errorf("%s %s: got body %.300q, want %.300q", r.Request.Method, r.Request.URL, r.body, body)
	}
}

// contains checks an answer's status and that texts are in its body.
func (r *response) contains(t *testing.T, status int, texts ...string) {
	t.Helper()
	r.want(t, status, "")
	for _, text := range texts {
		if !strings.Contains(r.body, text) {
			t.Errorf("%s %s: %q is not in the body: %.600q", r.Request.Method, r.Request.URL, text, r.body)
		}
	}
}

// tempDir is a directory whose path is short enough for a socket in it and
// which every user may enter, unlike t.TempDir.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "php_pool-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// copyTree copies a directory so that PHP may read it.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
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
		t.Fatal(err)
	}
}

// giveToPHP makes the user that PHP runs as the owner of a tree.
func giveToPHP(t *testing.T, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	u := phpUser(t)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	giveTo(t, dir, uid, gid)
}

// giveTo makes a user and group the owners of a tree.
func giveTo(t *testing.T, dir string, uid, gid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// link points a symbolic link, new or old, to a target in one step.
func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// replaceFile puts a file in the place of another in one step, as editors and
// package managers do.
func replaceFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	writeFile(t, path+".new", content)
	if err := os.Chmod(path+".new", mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// vars is what server.php saw in $_SERVER.
func (s *server) vars(path string, headers ...string) map[string]string {
	s.t.Helper()
	return s.varsOf(s.request("GET", path, nil, headers...))
}

func (s *server) varsOf(req *http.Request) map[string]string {
	s.t.Helper()
	res := s.do(req)
	res.want(s.t, 200, "")
	var vars map[string]any
	if err := json.Unmarshal([]byte(res.body), &vars); err != nil {
		s.t.Fatalf("%s: %v in %.300q", req.URL, err, res.body)
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

// dial opens a connection of its own to the server.
func dial(t *testing.T, s *server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(maxWait))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// endless gives bytes without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// getOn gets a page from a port whose listener may have just moved to another
// configuration.
func (s *server) getOn(port int, path string) (body string) {
	s.t.Helper()
	eventually(s.t, func() error {
		res, err := s.client.Do(newRequest(s.t, "GET", fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		body = string(text)
		if err == nil && res.StatusCode != 200 {
			s.t.Errorf("GET %s on port %d: got %s: %.300q", path, port, res.Status, text)
		}
		return err
	})
	return body
}

// wantSentence checks that an error is short and names all; "a|b" is either.
// What Caddy says before it, of the place in the configuration, does not count.
func wantSentence(t *testing.T, err error, says []string) {
	t.Helper()
	message := err.Error()
	for _, place := range []string{"'php_pool': ", "http.handlers.php_pool: ", "php_pool app module: "} {
		if _, own, ok := strings.Cut(message, place); ok {
			message = own
		}
	}
	for _, choice := range says {
		if !containsAny(message, strings.Split(choice, "|")) {
			t.Errorf("%q is not in %q", choice, message)
		}
	}
	if lines := strings.Count(message, "\n"); lines > 3 || len(message) > 1000 {
		t.Errorf("that is more than a sentence: %q", message)
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			return true
		}
	}
	return false
}
