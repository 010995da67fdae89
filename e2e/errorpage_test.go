//go:build linux

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// errorPageSite has an error page that PHP renders, and several handlers that reject
// requests or their bodies.
const errorPageSite = `
http://127.0.0.1:{$PORT} {
	root {$SITE}
	handle_path /limited/* {
		request_body {
			max_size 1KB
		}
		PHP
	}
	handle_path /max_body/* {
		PHP {
			max_body 1KB
		}
	}
	handle_path /transport/* {
		reverse_proxy localhost:9 {
			transport php_pool {
				max_body 1KB
			}
		}
	}
	handle_path /strict/* {
		PHP {
			index off
		}
	}
	handle /error/* {
		error 418
	}
	handle {
		PHP
		file_server
	}
	handle_errors {
		rewrite * /error.php
		PHP
	}
}
`

// errorPage holds what error.php sees.
type errorPage struct {
	Method, URI, Status, Length string
	HTTPLength, Type            string
	Body, Post                  int
	Error                       string
}

const errorPageScript = `<?php
http_response_code((int) $_SERVER['REDIRECT_STATUS']);
echo json_encode([
	'Method' => $_SERVER['REQUEST_METHOD'], 'URI' => $_SERVER['REQUEST_URI'], 'Status' => $_SERVER['REDIRECT_STATUS'],
	'Length' => $_SERVER['CONTENT_LENGTH'], 'HTTPLength' => $_SERVER['HTTP_CONTENT_LENGTH'] ?? '', 'Type' => $_SERVER['CONTENT_TYPE'],
	'Body' => strlen(file_get_contents('php://input')), 'Post' => count($_POST), 'Error' => error_get_last()['message'] ?? '',
]);
`

// TestErrorPage_RejectedBody checks that PHP renders the error page for a request
// whose body was rejected or cannot be read: with an empty body.
func TestErrorPage_RejectedBody(t *testing.T) {
	t.Parallel()
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, errorPageSite)
		harness.WriteFile(t, filepath.Join(s.Site, "error.php"), errorPageScript)
		form := "a=" + strings.Repeat("x", 4094)
		multipart := "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + strings.Repeat("x", 4000) + "\r\n--b--\r\n"
		const formType = "application/x-www-form-urlencoded"
		for _, tt := range []struct {
			path, method, body, typ string
			chunked                 bool
			want                    errorPage
		}{
			{"/limited/body.php", "POST", form, formType, false, errorPage{Status: "413"}},
			{"/limited/body.php", "POST", form, formType, true, errorPage{Status: "413"}},
			{"/limited/body.php", "POST", multipart, "multipart/form-data; boundary=b", false, errorPage{Status: "413"}},
			{"/limited/body.php", "PUT", form, "text/plain", false, errorPage{Status: "413"}},
			{"/limited/sub/missing.php", "POST", form, formType, false, errorPage{Status: "413"}},
			{"/max_body/body.php", "POST", form, formType, false, errorPage{Status: "413"}},
			{"/max_body/body.php", "POST", form, formType, true, errorPage{Status: "413"}},
			{"/transport/body.php", "POST", form, formType, true, errorPage{Status: "413"}},
			// The page gets a body that no handler has read.
			{"/strict/missing.php", "POST", form, formType, false, errorPage{Status: "404", Length: "4096", HTTPLength: "4096", Body: 4096, Post: 1}},
			{"/error/x", "POST", form, formType, true, errorPage{Status: "418", Length: "4096", HTTPLength: "4096", Body: 4096, Post: 1}},
			{"/strict/missing.php", "GET", "", "", false, errorPage{Status: "404"}},
			{"/error/x", "HEAD", "", "", false, errorPage{Status: "418"}},
		} {
			var body io.Reader = strings.NewReader(tt.body)
			if tt.chunked {
				body = struct{ io.Reader }{body}
			}
			req := s.Request(tt.method, tt.path, body, "Content-Type: "+tt.typ)
			res := s.Do(req)
			want := tt.want
			want.Method, want.URI, want.Type = tt.method, tt.path, tt.typ
			if want.Length == "" {
				want.Length = "0"
			}
			if got := fmt.Sprint(res.StatusCode); got != want.Status {
				t.Errorf("%s %s, chunked %t: got status %s, want %s: %.300q", tt.method, tt.path, tt.chunked, got, want.Status, res.Text)
			}
			var got errorPage
			if tt.method == "HEAD" {
				continue
			}
			if err := json.Unmarshal([]byte(res.Text), &got); err != nil || got != want {
				t.Errorf("%s %s, chunked %t: got\n%+v, want\n%+v (%v)", tt.method, tt.path, tt.chunked, got, want, err)
			}
		}
		brokenBody(t, s)
	})
}

// brokenBody sends a body whose chunks are invalid.
func brokenBody(t *testing.T, s *harness.Server) {
	t.Helper()
	conn := harness.Dial(t, s)
	fmt.Fprintf(conn, "POST /body.php HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", s.Port)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var got errorPage
	if res.StatusCode != 400 || err != nil || json.Unmarshal(body, &got) != nil || got.Status != "400" || got.Body != 0 {
		t.Errorf("a body whose chunks are invalid: got %d %q, error %v", res.StatusCode, body, err)
	}
}
