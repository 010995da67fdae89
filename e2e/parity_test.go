//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mevdschee/caddy-php-pool/e2e/harness"
)

// TestParity sends the same requests to php_fastcgi with php-fpm and to every
// backend: scripts have to see the same variables.
func TestParity(t *testing.T) {
	t.Parallel()
	const site = `
	http://127.0.0.1:{$PORT} {
		root {$SITE}
		PHP {
			env CUSTOM "{http.request.method} {http.request.uri}"
		}
	}
	`
	old := harness.Start(t, harness.FPM, site)
	harness.ForEach(t, harness.AllBackends, func(t *testing.T, b harness.Backend) {
		s := harness.Start(t, b, site)
		for name, makeRequest := range sameRequests {
			t.Run(name, func(t *testing.T) {
				diff(t, plainVars(old, makeRequest), plainVars(s, makeRequest))
			})
		}
	})
}

// sameRequests are requests for server.php.
var sameRequests = map[string]func(*harness.Server) *http.Request{
	"a plain GET": func(s *harness.Server) *http.Request { return s.Request("GET", "/server.php", nil) },
	"a query": func(s *harness.Server) *http.Request {
		return s.Request("GET", "/server.php?a=b&c[]=%20+d&a=ü%00", nil)
	},
	"a lone question": func(s *harness.Server) *http.Request { return s.Request("GET", "/server.php?", nil) },
	"PATH_INFO":       func(s *harness.Server) *http.Request { return s.Request("GET", "/server.php/some%20info/ü?q=1", nil) },
	"PATH_INFO of /":  func(s *harness.Server) *http.Request { return s.Request("GET", "/server.php/", nil) },
	"two extensions":  func(s *harness.Server) *http.Request { return s.Request("GET", "/server.php/x.php/y", nil) },
	"double slashes":  func(s *harness.Server) *http.Request { return s.Request("GET", "//server.php", nil) },
	"dots":            func(s *harness.Server) *http.Request { return s.Request("GET", "/sub/../server.php", nil) },
	"a POST": func(s *harness.Server) *http.Request {
		return s.Request("POST", "/server.php", strings.NewReader("a=b"), "Content-Type: application/x-www-form-urlencoded")
	},
	"a PUT": func(s *harness.Server) *http.Request {
		return s.Request("PUT", "/server.php", strings.NewReader("{}"), "Content-Type: application/json")
	},
	"many headers": func(s *harness.Server) *http.Request {
		return s.Request("GET", "/server.php", nil,
			"Accept: */*", "Accept-Language: nl, en;q=0.5", "X-Twice: 1", "X-Twice: 2", "Cookie: a=b; c=d", "Referer: http://example.test/", "User-Agent: test",
			"If-None-Match: \"x\"", "Range: bytes=0-", "Authorization: Bearer abc", "X-Forwarded-For: 192.0.2.1", "X-Real-Ip: 192.0.2.2", "Forwarded: for=192.0.2.3")
	},
	"another Host": func(s *harness.Server) *http.Request {
		return s.Request("GET", "/server.php", nil, fmt.Sprint("Host: 127.0.0.1:", s.Port))
	},
	"Basic credentials": func(s *harness.Server) *http.Request {
		return s.Request("GET", "/server.php", nil, "Authorization: Basic YWRhOnNlY3JldA==")
	},
	"an Upgrade": func(s *harness.Server) *http.Request {
		return s.Request("GET", "/server.php", nil, "Connection: Upgrade", "Upgrade: other")
	},
	"no Content-Type, POST":     withoutContentType("POST", "/server.php?a=b", "c=d"),
	"no Content-Type, PUT":      withoutContentType("PUT", "/server.php", "c=d"),
	"no Content-Type, PATCH":    withoutContentType("PATCH", "/server.php", "c=d"),
	"no Content-Type, DELETE":   withoutContentType("DELETE", "/server.php", "c=d"),
	"no Content-Type, PROPFIND": withoutContentType("PROPFIND", "/server.php", "<propfind/>"),
	"no Content-Type, own name": withoutContentType("PURGE", "/server.php", "c=d"),
	"no Content-Type, GET":      withoutContentType("GET", "/server.php", "c=d"),
	"no Content-Type, no body":  withoutContentType("POST", "/server.php", ""),
	"OPTIONS":                   withoutContentType("OPTIONS", "/server.php", ""),
	"DELETE without a body":     withoutContentType("DELETE", "/server.php", ""),
	"an empty Content-Type": func(s *harness.Server) *http.Request {
		return s.Request("POST", "/server.php", strings.NewReader("a=b"), "Content-Type: ")
	},
	"TE and trailers": func(s *harness.Server) *http.Request { return s.Request("GET", "/server.php", nil, "TE: trailers") },
}

// withoutContentType returns a request for a path with a body and no Content-Type.
func withoutContentType(method, path, body string) func(*harness.Server) *http.Request {
	return func(s *harness.Server) *http.Request {
		if body == "" {
			return s.Request(method, path, nil)
		}
		return s.Request(method, path, strings.NewReader(body))
	}
}

// different are the variables that may differ, and why.
var different = map[string]string{
	"REMOTE_PORT":         "each connection has its own",
	"USER":                "php-fpm's own addition",
	"HOME":                "php-fpm's own addition; php-cgi has the one of its user",
	"FCGI_ROLE":           "php-cgi shows it, php-fpm does not",
	"REDIRECT_STATUS":     "the same",
	"HTTP_CONTENT_LENGTH": "php_fastcgi sends one with a GET",
	"PATH":                "of php-cgi's own environment", "LANG": "the same", "TZ": "the same", "TMPDIR": "the same",
	"PHP_FCGI_CHILDREN": "of a master's environment", "PHP_FCGI_MAX_REQUESTS": "the same", "PHP_INI_SCAN_DIR": "the same",
}

// plainVars returns $_SERVER of a request without the variables that may differ.
func plainVars(s *harness.Server, makeRequest func(*harness.Server) *http.Request) map[string]string {
	vars := s.VarsOf(makeRequest(s))
	for name, value := range vars {
		value = strings.ReplaceAll(value, s.Site, "SITE")
		vars[name] = strings.ReplaceAll(value, fmt.Sprint(s.Port), "PORT")
		if different[name] != "" {
			delete(vars, name)
		}
	}
	return vars
}

func diff(t *testing.T, want, got map[string]string) {
	t.Helper()
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w, inWant := want[name]
		g, inGot := got[name]
		switch {
		case !inWant:
			t.Errorf("%s: got %q, and php_fastcgi has none", name, g)
		case !inGot:
			t.Errorf("%s: is missing, and php_fastcgi has %q", name, w)
		case g != w:
			t.Errorf("%s: got %q, php_fastcgi has %q", name, g, w)
		}
	}
}
