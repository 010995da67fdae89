//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestRequestBody sends bodies of all sizes and methods, with their length
// and without.
func TestRequestBody(t *testing.T) {
	t.Parallel()
	checks := []check{
		{"a form with a file arrives", formWithFile},
		{"a body without a Content-Type is a form", func(t *testing.T, s *harness.Server) {
			for _, body := range []io.Reader{strings.NewReader("a=b&c=d"), struct{ io.Reader }{strings.NewReader("a=b&c=d")}} {
				s.Do(s.Request("POST", "/form.php", body)).Want(t, 200, "a=b&c=d")
			}
		}},
		{"a slow upload occupies no worker", slowUpload},
		{"a body that the script does not read has no effect", func(t *testing.T, s *harness.Server) {
			for range 5 {
				s.Do(s.Request("POST", "/hello.php", bytes.NewReader(harness.Pattern(500_000)), "Content-Type: text/plain")).Want(t, 200, "hello\n")
			}
		}},
		{"a client that disconnects during its body has no effect", func(t *testing.T, s *harness.Server) {
			conn := harness.Dial(t, s)
			fmt.Fprint(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\npart")
			conn.Close()
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}},
	}
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 5 << 20} {
		for _, length := range []bool{true, false} {
			checks = append(checks, check{
				fmt.Sprintf("%d bytes by POST, length known %t", size, length),
				func(t *testing.T, s *harness.Server) { wantBody(t, s, "POST", size, length) },
			})
		}
	}
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		for _, length := range []bool{true, false} {
			checks = append(checks, check{
				fmt.Sprintf("a body by %s, length known %t", method, length),
				func(t *testing.T, s *harness.Server) { wantBody(t, s, method, 100_000, length) },
			})
		}
	}
	checkAll(t, harness.BothTransports, harness.Options{}, checks)
}

// bodySeen is the output of body.php.
type bodySeen struct {
	Method   string
	Length   int64
	Declared string
	SHA256   string
}

func wantBody(t *testing.T, s *harness.Server, method string, size int, length bool) {
	t.Helper()
	content := harness.Pattern(size)
	got := sendBody(t, s, method, bytes.NewReader(content), size, length)
	want := bodySeen{method, int64(size), fmt.Sprint(size), hash(content)}
	if size == 0 && got.Declared == "" {
		want.Declared = "" // an empty body needs no length
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func sendBody(t *testing.T, s *harness.Server, method string, body io.Reader, size int, length bool) (seen bodySeen) {
	t.Helper()
	// A reader of a type that net/http does not know has no length.
	req := s.Request(method, "/body.php", struct{ io.Reader }{body}, "Content-Type: application/octet-stream")
	req.ContentLength = -1
	if length {
		req.ContentLength = int64(size)
		if size == 0 {
			req.Body = http.NoBody
		}
	}
	res := s.Do(req)
	res.Want(t, 200, "")
	if err := json.Unmarshal([]byte(res.Text), &seen); err != nil {
		t.Fatalf("%v in %.300q", err, res.Text)
	}
	return seen
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func formWithFile(t *testing.T, s *harness.Server) {
	content := harness.Pattern(300_000)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.WriteField("field", "ünïcode & more")
	part, err := w.CreateFormFile("file", "a file.bin")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(content)
	w.Close()
	for _, body := range []io.Reader{&form, struct{ io.Reader }{bytes.NewReader(form.Bytes())}} {
		res := s.Do(s.Request("POST", "/upload.php", body, "Content-Type: "+w.FormDataContentType()))
		res.Want(t, 200, `{"field":"\u00fcn\u00efcode & more","name":"a file.bin","type":"application\/octet-stream","error":0,"sha256":"`+hash(content)+`"}`)
	}
}

// slowUpload starts more uploads than there are workers.
func slowUpload(t *testing.T, s *harness.Server) {
	const uploads = 5
	content := string(harness.Pattern(1000))
	var conns []net.Conn
	for range uploads {
		conn := harness.Dial(t, s)
		fmt.Fprintf(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", len(content), content[:500])
		conns = append(conns, conn)
	}
	req := s.Request("GET", "/hello.php", nil)
	s.Do(req).Want(t, 200, "hello\n")
	for _, conn := range conns {
		io.WriteString(conn, content[500:])
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), hash([]byte(content))) {
			t.Errorf("the slow upload: got %d %q", res.StatusCode, body)
		}
	}
}

// TestRequestBody_Large uploads and downloads more than Caddy may keep in memory.
func TestRequestBody_Large(t *testing.T) {
	t.Parallel()
	const size, growth = 100 << 20, 48 << 20
	noLimit := harness.Options{INI: [][2]string{{"post_max_size", "0"}}}
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, harness.PlainSite, noLimit)
		s.Get("/hello.php").Want(t, 200, "hello\n")
		before := s.PeakMemory()
		check := func(what string) {
			t.Helper()
			if grown := s.PeakMemory() - before; grown > growth && !harness.RaceBuilt {
				t.Errorf("after %s Caddy's memory had grown by %d MB, want at most %d", what, grown>>20, growth>>20)
			}
		}
		for _, length := range []bool{true, false} {
			sum := sha256.New()
			body := io.TeeReader(io.LimitReader(harness.Endless{}, size), sum)
			got := sendBody(t, s, "POST", body, size, length)
			if want := hex.EncodeToString(sum.Sum(nil)); got.Length != size || got.SHA256 != want {
				t.Errorf("100 MB up, length known %t: got %+v", length, got)
			}
			check("100 MB up")
		}
		res, err := s.Client.Do(s.Request("GET", "/big.php?n=100", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got := harness.Discard(t, res.Body); got != size {
			t.Errorf("100 MB down: got %d bytes, want %d", got, size)
		}
		check("100 MB down")
	})
}
