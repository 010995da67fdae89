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
)

// feature is a Caddyfile, or the inside of a site, and what it does.
type feature struct {
	name      string
	caddyfile string
	run       func(*testing.T, *server)
}

// features runs each Caddyfile on a server of its own, through the lean handler
// and through the reverse proxy.
func features(t *testing.T, all []feature) {
	t.Helper()
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			each(t, bothWays, func(t *testing.T, b backend) {
				caddyfile := f.caddyfile
				if !strings.Contains(caddyfile, "{$PORT}") {
					caddyfile = "http://127.0.0.1:{$PORT} {\n" + caddyfile + "\n}\n"
				}
				f.run(t, start(t, b, caddyfile))
			})
		})
	}
}

// TestRouting holds a site's other directives against PHP's.
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
		`, func(t *testing.T, s *server) {
			s.get("/missing.php").want(t, 404, "own page 404")
			s.get("/a.test/missing.php/info").want(t, 404, "own page 404")
		}},
		{"without an index no other script is run", `
			root {$SITE}
			PHP {
				index off
			}
			file_server
		`, func(t *testing.T, s *server) {
			s.get("/hello.php").want(t, 200, "hello\n")
			s.get("/missing.php").want(t, 404, "")
			s.get("/uploads/img.jpg/x.php").want(t, 404, "")
			if res := s.get("/uploads/img.jpg"); !strings.Contains(res.body, "<?php") {
				t.Errorf("the image: got %d %q", res.StatusCode, res.body)
			}
		}},
		{"index names another script", `
			root {$SITE}
			PHP {
				index front.php
			}
			file_server
		`, func(t *testing.T, s *server) {
			s.get("/").want(t, 200, "front -\n")
			s.get("/pretty?p=1").want(t, 200, "front 1\n")
		}},
		{"try_files replaces what is tried", `
			root {$SITE}
			PHP {
				try_files {path} {path}/index.php front.php
			}
			file_server
		`, func(t *testing.T, s *server) {
			s.get("/no/such?p=1").want(t, 200, "front 1\n")
			s.get("/sub/").want(t, 200, "sub index /sub/index.php\n")
			s.get("/page.html").want(t, 200, "<p>a static page</p>\n")
		}},
		{"split allows other extensions", `
			root {$SITE}
			PHP {
				split .php5 .php
			}
			file_server
		`, func(t *testing.T, s *server) {
			s.get("/old.php5/info").want(t, 200, "php5 /info\n")
			s.get("/hello.php").want(t, 200, "hello\n")
		}},
		{"handle_path takes its prefix off", `
			handle_path /app/* {
				root {$SITE}
				PHP
				file_server
			}
			respond "elsewhere"
		`, func(t *testing.T, s *server) {
			s.get("/app/hello.php").want(t, 200, "hello\n")
			s.get("/app/page.html").want(t, 200, "<p>a static page</p>\n")
			s.get("/hello.php").want(t, 200, "elsewhere")
			vars := s.vars("/app/server.php/info?q")
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
		`, func(t *testing.T, s *server) {
			s.get("/hello.php").want(t, 200, "hello\n")
			s.get("/sub/").want(t, 200, "sub index /sub/index.php\n")
			s.get("/front.php").want(t, 200, "not PHP")
		}},
		{"a path as a matcher", `
			root {$SITE}
			route {
				PHP /sub/*
				respond "not PHP"
			}
		`, func(t *testing.T, s *server) {
			s.get("/sub/").want(t, 200, "sub index /sub/index.php\n")
			s.get("/hello.php").want(t, 200, "not PHP")
		}},
		{"rewrite and route before PHP", `
			root {$SITE}
			route {
				rewrite /go/* /server.php?to={path}
				PHP
				file_server
			}
		`, func(t *testing.T, s *server) {
			vars := s.vars("/go/there")
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
		`, func(t *testing.T, s *server) {
			s.get("/", "Host: a.test").want(t, 200, "site a\n")
			s.get("/", "Host: b.test").want(t, 200, "site b\n")
			s.get("/", "Host: c.test").want(t, 404, "")
		}},
		{"root inside the directive", `
			root {$SITE}
			PHP {
				root {$SITE}/vhosts/b.test
			}
		`, func(t *testing.T, s *server) { s.get("/").want(t, 200, "site b\n") }},
		{"several sites", `
			http://127.0.0.1:{$PORT} {
				root {$SITE}/vhosts/a.test
				PHP
			}
			http://127.0.0.1:{$PORT2} {
				root {$SITE}/vhosts/b.test
				PHP
			}
		`, func(t *testing.T, s *server) {
			s.get("/").want(t, 200, "site a\n")
			do(t, s.client, newRequest(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/", s.port+1), nil)).want(t, 200, "site b\n")
		}},
	})
}

// TestMiddleware holds PHP against what Caddy puts around it.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	features(t, []feature{
		{"basic_auth guards, and names the user", `
			root {$SITE}
			basic_auth {
				ada $2a$04$nWST08KeVguScRUFyqV5JeJfo2hcwDMNjUazIuNAYTIl4szuaVPdK
			}
			PHP
		`, func(t *testing.T, s *server) {
			s.get("/hello.php").want(t, 401, "")
			req := s.request("GET", "/server.php", nil)
			req.SetBasicAuth("ada", "secret")
			if vars := s.varsOf(req); vars["REMOTE_USER"] != "ada" || vars["PHP_AUTH_USER"] != "ada" || vars["PHP_AUTH_PW"] != "secret" {
				t.Errorf("got REMOTE_USER %q, PHP_AUTH_USER %q", vars["REMOTE_USER"], vars["PHP_AUTH_USER"])
			}
		}},
		{"encode makes it smaller", `
			root {$SITE}
			encode gzip
			PHP
		`, func(t *testing.T, s *server) {
			res := s.get("/text.php", "Accept-Encoding: gzip")
			res.want(t, 200, "")
			if res.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("got headers %v", res.Header)
			}
			plain, err := gzip.NewReader(strings.NewReader(res.body))
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
		`, func(t *testing.T, s *server) {
			for _, length := range []bool{true, false} {
				req := s.request("POST", "/body.php", struct{ io.Reader }{bytes.NewReader(pattern(200_000))}, "Content-Type: text/plain")
				if length {
					req.ContentLength = 200_000
				}
				s.do(req).want(t, 413, "")
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
		`, func(t *testing.T, s *server) { s.get("/").want(t, 200, "sub index /index.php\n") }},
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
		`, func(t *testing.T, s *server) {
			vars := s.vars("/server.php", "X-From: afar")
			if vars["GREETING"] != "hello" || vars["FROM_HEADER"] != "afar !" {
				t.Errorf("got GREETING %q, FROM_HEADER %q", vars["GREETING"], vars["FROM_HEADER"])
			}
			res := s.get("/hello.php")
			if res.Header.Get("X-Site") != "yes" || res.Header.Get("X-Powered-By") != "" {
				t.Errorf("got headers %v", res.Header)
			}
		}},
	})
}

func overTLS(t *testing.T, s *server) {
	s.url = strings.Replace(s.url, "http:", "https:", 1)
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		// The certificate is of Caddy's own authority, made a moment ago.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport, Timeout: maxWait}
	eventually(t, func() error { // the certificate is made after Caddy serves
		res, err := s.client.Do(s.request("GET", "/page.html", nil))
		if err == nil {
			res.Body.Close()
		}
		return err
	})
	vars := s.vars("/server.php?q=1")
	for name, want := range map[string]string{
		"HTTPS": "on", "SERVER_PROTOCOL": "HTTP/2.0", "REQUEST_SCHEME": "https",
		"SSL_PROTOCOL": "TLSv1.3", "HTTP_HOST": fmt.Sprint("127.0.0.1:", s.port), "SERVER_PORT": fmt.Sprint(s.port),
	} {
		if vars[name] != want {
			t.Errorf("%s: got %q, want %q", name, vars[name], want)
		}
	}
	wantBody(t, s, "POST", 300_000, false)
	firstEventFirst(t, s)
	if res := s.get("/bighead.php"); len(res.Header.Get("X-Big")) != 100<<10 {
		t.Errorf("got a header of %d bytes", len(res.Header.Get("X-Big")))
	}
}

// TestSymlinkedRoot deploys as many do: a link is turned to another release.
func TestSymlinkedRoot(t *testing.T) {
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
	each(t, bothWays, func(t *testing.T, b backend) {
		s := prepare(t, b)
		current := filepath.Join(s.dir, "current")
		link(t, s.site, current)
		if err := s.run(site); err != nil {
			t.Fatal(err)
		}
		if got := s.vars("/server.php"); got["DOCUMENT_ROOT"] != s.site || got["SCRIPT_FILENAME"] != s.site+"/server.php" {
			t.Errorf("resolved: got %q, %q", got["DOCUMENT_ROOT"], got["SCRIPT_FILENAME"])
		}
		other := *s
		other.url = fmt.Sprintf("http://127.0.0.1:%d", s.port+1)
		if got := other.vars("/server.php"); got["DOCUMENT_ROOT"] != current || got["SCRIPT_FILENAME"] != current+"/server.php" {
			t.Errorf("off: got %q, %q", got["DOCUMENT_ROOT"], got["SCRIPT_FILENAME"])
		}
		s.get("/").want(t, 200, "index /\n")
		link(t, filepath.Join(s.site, "sub"), current)
		s.get("/").want(t, 200, "sub index /index.php\n")
	})
}
