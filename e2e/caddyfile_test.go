//go:build linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// feature is a Caddyfile, or the contents of a site block, and a test of it.
type feature struct {
	name      string
	caddyfile string
	run       func(*testing.T, *harness.Server)
}

// features runs each Caddyfile on its own server, with the lean handler and with the
// reverse proxy.
func features(t *testing.T, all []feature) {
	t.Helper()
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
				caddyfile := f.caddyfile
				if !strings.Contains(caddyfile, "{$PORT}") {
					caddyfile = "http://127.0.0.1:{$PORT} {\n" + caddyfile + "\n}\n"
				}
				f.run(t, harness.Start(t, b, caddyfile))
			})
		})
	}
}

// TestRouting combines php_pool with the routing directives of a site.
func TestRouting(t *testing.T) {
	t.Parallel()
	features(t, []feature{
		{"a missing script is a 404 that handle_errors sees", `
			root {$SITE}/vhosts
			PHP
			file_server
			handle_errors {
				respond "own page {err.status_code}" {err.status_code}
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/missing.php").Want(t, 404, "own page 404")
			s.Get("/a.test/missing.php/info").Want(t, 404, "own page 404")
		}},
		{"without an index no other script is run", `
			root {$SITE}
			PHP {
				index off
			}
			file_server
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/hello.php").Want(t, 200, "hello\n")
			s.Get("/missing.php").Want(t, 404, "")
			s.Get("/uploads/img.jpg/x.php").Want(t, 404, "")
			if res := s.Get("/uploads/img.jpg"); !strings.Contains(res.Text, "<?php") {
				t.Errorf("the image: got %d %q", res.StatusCode, res.Text)
			}
		}},
		{"index names another script", `
			root {$SITE}
			PHP {
				index front.php
			}
			file_server
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/").Want(t, 200, "front -\n")
			s.Get("/pretty?p=1").Want(t, 200, "front 1\n")
		}},
		{"try_files replaces what is tried", `
			root {$SITE}
			PHP {
				try_files {path} {path}/index.php front.php
			}
			file_server
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/no/such?p=1").Want(t, 200, "front 1\n")
			s.Get("/sub/").Want(t, 200, "sub index /sub/index.php\n")
			s.Get("/page.html").Want(t, 200, "<p>a static page</p>\n")
		}},
		{"split allows other extensions", `
			root {$SITE}
			PHP {
				split .php5 .php
			}
			file_server
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/old.php5/info").Want(t, 200, "php5 /info\n")
			s.Get("/hello.php").Want(t, 200, "hello\n")
		}},
		{"handle_path strips its prefix", `
			handle_path /app/* {
				root {$SITE}
				PHP
				file_server
			}
			respond "elsewhere"
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/app/hello.php").Want(t, 200, "hello\n")
			s.Get("/app/page.html").Want(t, 200, "<p>a static page</p>\n")
			s.Get("/hello.php").Want(t, 200, "elsewhere")
			vars := s.Vars("/app/server.php/info?q")
			if vars["REQUEST_URI"] != "/app/server.php/info?q" || vars["PATH_INFO"] != "/info" {
				t.Errorf("got REQUEST_URI %q, PATH_INFO %q", vars["REQUEST_URI"], vars["PATH_INFO"])
			}
		}},
		{"a matcher decides what PHP gets", `
			root {$SITE}
			@php path /sub/* /hello.php
			route {
				PHP @php
				respond "not PHP"
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/hello.php").Want(t, 200, "hello\n")
			s.Get("/sub/").Want(t, 200, "sub index /sub/index.php\n")
			s.Get("/front.php").Want(t, 200, "not PHP")
		}},
		{"a path as a matcher", `
			root {$SITE}
			route {
				PHP /sub/*
				respond "not PHP"
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/sub/").Want(t, 200, "sub index /sub/index.php\n")
			s.Get("/hello.php").Want(t, 200, "not PHP")
		}},
		{"rewrite and route before PHP", `
			root {$SITE}
			route {
				rewrite /go/* /server.php?to={path}
				PHP
				file_server
			}
		`, func(t *testing.T, s *harness.Server) {
			vars := s.Vars("/go/there")
			if vars["REQUEST_URI"] != "/go/there" || vars["QUERY_STRING"] != "to=/go/there" && vars["QUERY_STRING"] != "to=%2Fgo%2Fthere" {
				t.Errorf("got REQUEST_URI %q, QUERY_STRING %q", vars["REQUEST_URI"], vars["QUERY_STRING"])
			}
		}},
		{"a root with placeholders", `
			http://:{$PORT} {
				root {$SITE}/vhosts/{http.request.host}
				PHP
				file_server
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/", "Host: a.test").Want(t, 200, "site a\n")
			s.Get("/", "Host: b.test").Want(t, 200, "site b\n")
			s.Get("/", "Host: c.test").Want(t, 404, "")
		}},
		{"root inside the directive", `
			root {$SITE}
			PHP {
				root {$SITE}/vhosts/b.test
			}
		`, func(t *testing.T, s *harness.Server) { s.Get("/").Want(t, 200, "site b\n") }},
		{"several sites", `
			http://127.0.0.1:{$PORT} {
				root {$SITE}/vhosts/a.test
				PHP
			}
			http://127.0.0.1:{$PORT2} {
				root {$SITE}/vhosts/b.test
				PHP
			}
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/").Want(t, 200, "site a\n")
			harness.Do(t, s.Client, harness.NewRequest(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/", s.Port+1), nil)).Want(t, 200, "site b\n")
		}},
	})
}

// TestMiddleware combines php_pool with Caddy's middleware.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	features(t, []feature{
		{"basic_auth guards, and names the user", `
			root {$SITE}
			basic_auth {
				ada $2a$04$nWST08KeVguScRUFyqV5JeJfo2hcwDMNjUazIuNAYTIl4szuaVPdK
			}
			PHP
		`, func(t *testing.T, s *harness.Server) {
			s.Get("/hello.php").Want(t, 401, "")
			req := s.Request("GET", "/server.php", nil)
			req.SetBasicAuth("ada", "secret")
			if vars := s.VarsOf(req); vars["REMOTE_USER"] != "ada" || vars["PHP_AUTH_USER"] != "ada" || vars["PHP_AUTH_PW"] != "secret" {
				t.Errorf("got REMOTE_USER %q, PHP_AUTH_USER %q", vars["REMOTE_USER"], vars["PHP_AUTH_USER"])
			}
		}},
		{"encode compresses the response", `
			root {$SITE}
			encode gzip
			PHP
		`, func(t *testing.T, s *harness.Server) {
			res := s.Get("/text.php", "Accept-Encoding: gzip")
			res.Want(t, 200, "")
			if res.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("got headers %v", res.Header)
			}
			plain, err := gzip.NewReader(strings.NewReader(res.Text))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(plain); err != nil || len(got) != 30_000 {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		}},
		{"request_body max_size is a 413", `
			root {$SITE}
			request_body {
				max_size 100KB
			}
			PHP
		`, func(t *testing.T, s *harness.Server) {
			for _, length := range []bool{true, false} {
				req := s.Request("POST", "/body.php", struct{ io.Reader }{bytes.NewReader(harness.Pattern(200_000))}, "Content-Type: text/plain")
				if length {
					req.ContentLength = 200_000
				}
				s.Do(req).Want(t, 413, "")
				wantBody(t, s, "POST", 90_000, length)
			}
		}},
		{"TLS and HTTP/2", `
			https://127.0.0.1:{$PORT} {
				tls internal
				root {$SITE}
				PHP
				file_server
			}
		`, overTLS},
		{"an imported snippet", `
			(php) {
				root {$SITE}/{args[0]}
				PHP
			}
			http://127.0.0.1:{$PORT} {
				import php sub
			}
		`, func(t *testing.T, s *harness.Server) { s.Get("/").Want(t, 200, "sub index /index.php\n") }},
		{"header and vars around PHP", `
			root {$SITE}
			header X-Site yes
			header -X-Powered-By
			vars greeting hello
			PHP {
				env GREETING {vars.greeting}
				env FROM_HEADER "{http.request.header.X-From} !"
				env EMPTY ""
			}
		`, func(t *testing.T, s *harness.Server) {
			vars := s.Vars("/server.php", "X-From: afar")
			if vars["GREETING"] != "hello" || vars["FROM_HEADER"] != "afar !" {
				t.Errorf("got GREETING %q, FROM_HEADER %q", vars["GREETING"], vars["FROM_HEADER"])
			}
			res := s.Get("/hello.php")
			if res.Header.Get("X-Site") != "yes" || res.Header.Get("X-Powered-By") != "" {
				t.Errorf("got headers %v", res.Header)
			}
		}},
	})
}

func overTLS(t *testing.T, s *harness.Server) {
	s.URL = strings.Replace(s.URL, "http:", "https:", 1)
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		// Caddy's local CA issued the certificate.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.Client = &http.Client{Transport: transport, Timeout: harness.MaxWait}
	harness.Eventually(t, func() error { // Caddy issues the certificate after it has started
		res, err := s.Client.Do(s.Request("GET", "/page.html", nil))
		if err == nil {
			res.Body.Close()
		}
		return err
	})
	vars := s.Vars("/server.php?q=1")
	for name, want := range map[string]string{
		"HTTPS": "on", "SERVER_PROTOCOL": "HTTP/2.0", "REQUEST_SCHEME": "https",
		"SSL_PROTOCOL": "TLSv1.3", "HTTP_HOST": fmt.Sprint("127.0.0.1:", s.Port), "SERVER_PORT": fmt.Sprint(s.Port),
	} {
		if vars[name] != want {
			t.Errorf("%s: got %q, want %q", name, vars[name], want)
		}
	}
	wantBody(t, s, "POST", 300_000, false)
	firstEventFirst(t, s)
	if res := s.Get("/bighead.php"); len(res.Header.Get("X-Big")) != 100<<10 {
		t.Errorf("got a header of %d bytes", len(res.Header.Get("X-Big")))
	}
}

// TestRouting_SymlinkedRoot points the symbolic link that is the root to another release.
func TestRouting_SymlinkedRoot(t *testing.T) {
	t.Parallel()
	const site = `
	http://127.0.0.1:{$PORT} {
		root {$SITE}/../current
		PHP
		file_server
	}
	http://127.0.0.1:{$PORT2} {
		root {$SITE}/../current
		PHP {
			resolve_root_symlink off
		}
	}
	`
	harness.ForEach(t, harness.BothTransports, func(t *testing.T, b harness.Backend) {
		s := harness.Prepare(t, b)
		current := filepath.Join(s.Dir, "current")
		harness.Symlink(t, s.Site, current)
		if err := s.Run(site); err != nil {
			t.Fatal(err)
		}
		if got := s.Vars("/server.php"); got["DOCUMENT_ROOT"] != s.Site || got["SCRIPT_FILENAME"] != s.Site+"/server.php" {
			t.Errorf("resolved: got %q, %q", got["DOCUMENT_ROOT"], got["SCRIPT_FILENAME"])
		}
		other := *s
		other.URL = fmt.Sprintf("http://127.0.0.1:%d", s.Port+1)
		if got := other.Vars("/server.php"); got["DOCUMENT_ROOT"] != current || got["SCRIPT_FILENAME"] != current+"/server.php" {
			t.Errorf("off: got %q, %q", got["DOCUMENT_ROOT"], got["SCRIPT_FILENAME"])
		}
		s.Get("/").Want(t, 200, "index /\n")
		harness.Symlink(t, filepath.Join(s.Site, "sub"), current)
		s.Get("/").Want(t, 200, "sub index /index.php\n")
	})
}
